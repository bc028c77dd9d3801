"""The commands take addresses as they take files, and a run knows an object by its content and version."""

from __future__ import annotations

import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

import importer as library
from importer.errors import SourceError, UsageError
from importer.library import Settings
from importer.lookups import content_of
from importer.mapping.load import load
from importer.pipeline import find
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import RunOptions, TargetOptions
from importer.remote import RemotePath
from tests.support.object_store import ObjectStore, WebServer
from tests.support.program import importer

MAPPING = """\
version: 1
subscriber: {email: email}
type: {const: purchase}
value: total
value_currency: {const: EUR}
"""
CSV = b"email,total\nada@example.com,12.50\nbo@example.com,7\n"


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(MAPPING)
    return path


def in_parquet(table: dict[str, list[str]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(table), file)
    return file.getvalue()


def settings(tmp_path: Path) -> Settings:
    return Settings(target=TargetOptions(ledger=tmp_path / "ledger.db", environment={}))


def test_the_rows_of_an_object_are_sent_once_whatever_its_name(
    store: ObjectStore, tmp_path: Path, mapping: Path
) -> None:
    """As a copy in the store, and from this machine."""
    store.put("once/a.csv", CSV)
    store.put("once/b.csv", CSV)
    sources: list[str | Path] = ["s3://exports/once/", tmp_path / "c.csv"]
    (tmp_path / "c.csv").write_bytes(CSV)
    counts = [
        library.run(source, mapping, sandbox=True, out=tmp_path / "out", settings=settings(tmp_path)).summary.rows
        for source in sources
    ]
    assert [(each["sent"], each["duplicate"]) for each in counts] == [(2, 2), (0, 2)]


def test_a_partitioned_dataset_gives_its_directories_as_columns(
    store: ObjectStore, tmp_path: Path, mapping: Path
) -> None:
    """The same rows of two shops are events of both, and rejects keep the shop."""
    rows = in_parquet({"email": ["ada@example.com", "none"], "total": ["1", "2"]})
    for shop in ("north", "south"):
        store.put(f"sales/shop={shop}/day=2026-01-31/part-0.parquet", rows)
    mapping.write_text(MAPPING + "properties: {shop: shop, day: day}\n")
    done = library.run("s3://exports/sales/", mapping, sandbox=True, out=tmp_path / "out", settings=settings(tmp_path))
    assert (done.summary.rows["sent"], done.summary.rows["invalid"]) == (2, 2)
    events = [json.loads(line) for line in (tmp_path / "out" / "sandbox-events.jsonl").read_text().splitlines()]
    assert "north" in str(events[0])
    assert "south" in str(events[1])
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet")
    assert rejects.column("shop").to_pylist() == ["north", "south"]
    again = library.check(tmp_path / "out" / "rejects.parquet", mapping)
    assert again.summary.rows["invalid"] == 2


def test_init_and_check_take_an_address(store: ObjectStore, tmp_path: Path, mapping: Path) -> None:
    address = store.put("init/orders.csv", CSV)
    written = importer("init", address, "-o", str(tmp_path / "made.yaml"))
    assert written.exit_code == 0, written.stderr
    assert "email: email" in (tmp_path / "made.yaml").read_text()
    checked = importer("check", address, "-m", str(mapping))
    assert "2 of 2 rows are ready" in checked.stdout + checked.stderr


def test_a_lookup_may_be_behind_an_address(store: ObjectStore, tmp_path: Path, mapping: Path) -> None:
    names = store.put("lookups/names.csv", b"email,name\nada@example.com,Ada\n")
    mapping.write_text(
        MAPPING
        + f"lookups: {{people: {{file: '{names}', key: email}}}}\n"
        + "properties: {name: {lookup: people, by: email, column: name}}\n"
    )
    loaded = load(str(mapping))
    ((_, name, digest),) = content_of(loaded.mapping)
    assert (name, len(digest)) == (names, 64)


def test_the_same_command_goes_on_with_its_run_unless_an_object_has_changed(
    store: ObjectStore, tmp_path: Path, mapping: Path
) -> None:
    options = RunOptions((store.put("again/a.csv", CSV), "s3://exports/again/"), str(mapping))
    loaded = load(str(mapping))
    files = find.fingerprint(options, loaded)
    assert [each[0] for each in files] == ["s3://exports/again/a.csv"]
    assert find.fingerprint(options, loaded) == files
    store.put("again/a.csv", CSV.replace(b"12.50", b"12.51"))
    assert find.fingerprint(options, loaded) not in ([], files)


def test_secrets_of_an_address_are_neither_kept_nor_shown(tmp_path: Path, mapping: Path) -> None:
    with WebServer({"/a.csv": CSV.replace(b"bo@example.com", b"bo")}).running() as web:
        address = web.address.replace("://", "://me:hidden-word@") + "/a.csv?X-Signature=hidden-word"
        done = importer(
            "run", address, "-m", str(mapping), "--sandbox", "--yes",
            "--ledger", str(tmp_path / "ledger.db"), "--out", str(tmp_path / "out"),
        )  # fmt: skip
        assert done.exit_code == 1, done.stderr
        checked = importer("check", address, "-m", str(mapping))
        made = importer("init", address, "-o", str(tmp_path / "made.yaml"))
        target = TargetOptions(ledger=tmp_path / "ledger.db", environment={})
        with open_ledger(target) as ledger:
            (run,) = ledger.runs(everywhere=True)
    assert run.options["sources"] == [f"{web.address}/a.csv"]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(b"hidden-word" in path.read_bytes() for path in written)
    assert made.exit_code == 0, made.stderr
    for outcome in (done, checked, made):
        assert "hidden-word" not in outcome.stderr + outcome.stdout


def names(store: ObjectStore, prefix: str) -> list[str]:
    """The keys below a prefix."""
    return sorted(key.removeprefix(prefix) for key in store.keys(prefix))


@pytest.mark.parametrize("any_store", ["s3", "google", "data_lake"], indirect=True)
def test_outputs_go_to_an_address_when_they_are_complete(
    any_store: ObjectStore, tmp_path: Path, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a directory would hold, named by where it is, the summary last; nothing stays here."""
    store, out = any_store, any_store.address("out")
    written: list[str] = []
    write = RemotePath.write

    def note(path: RemotePath, source: Any) -> None:
        written.append(path.name)
        write(path, source)

    monkeypatch.setattr(RemotePath, "write", note)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "a.csv").write_bytes(CSV + b"nobody,1\n")
    done = importer(
        "run", str(tmp_path / "a.csv"), "-m", str(mapping), "--sandbox", "--yes",
        "--ledger", str(tmp_path / "ledger.db"), "--out", f"{out}/",
    )  # fmt: skip
    assert done.exit_code == 1, done.stderr
    assert f"written to {out}\n" in done.stderr
    assert f"importer run {out}/rejects.csv -m" in done.stderr
    files = ["rejects.csv", "report.csv", "report.html", "sandbox-events.jsonl", "summary.json"]
    assert names(store, "out/") == files
    assert written[-1] == "summary.json"
    assert json.loads(store.get("out/summary.json"))["rows"]["sent"] == 2
    assert store.get("out/sandbox-events.jsonl").count(b"\n") == 2
    assert not list(tmp_path.glob("importer-out-*"))

    rejects, checked = f"{out}/rejects.csv", store.address("checked")
    corrected = importer("check", rejects, "-m", str(mapping), "--out", checked)
    assert corrected.exit_code == 1, corrected.stderr
    assert "rejects.csv" in names(store, "checked/")


def test_a_report_goes_to_an_address_and_keeps_what_the_user_has_changed_there(
    store: ObjectStore, tmp_path: Path, mapping: Path
) -> None:
    ledger = ("--ledger", str(tmp_path / "ledger.db"))
    (tmp_path / "a.csv").write_bytes(CSV + b"nobody,1\n")
    run = (
        "run",
        str(tmp_path / "a.csv"),
        "-m",
        str(mapping),
        "--sandbox",
        "--yes",
        *ledger,
        "--out",
        str(tmp_path / "out"),
    )
    assert importer(*run).exit_code == 1
    store.put("kept/rejects.csv", b"mine")
    store.put("kept/notes.txt", b"mine too")
    for _ in range(2):
        done = importer("report", "-o", "s3://exports/kept", *ledger)
        assert done.exit_code == 0, done.stderr
    assert names(store, "kept/") == [
        "notes.txt", "rejects.csv", "rejects.kept.csv", "report.csv", "report.html", "summary.json",
    ]  # fmt: skip
    assert store.get("kept/rejects.kept.csv") == b"mine"
    assert importer("report", "-o", "s3://exports/one.parquet", *ledger).exit_code == 0
    assert pq.read_table(io.BytesIO(store.get("one.parquet"))).num_rows == 3


def test_a_summary_is_there_only_with_all_the_rest(
    store: ObjectStore, tmp_path: Path, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that fails names the copy on this machine, and the old summary is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "a.csv").write_bytes(CSV + b"nobody,1\n")
    store.put("half/summary.json", b"{}")
    write = RemotePath.write

    def refuse(path: RemotePath, source: Any) -> None:
        if path.name == "report.html":
            raise SourceError(str(path), "access denied", hint="")
        write(path, source)

    monkeypatch.setattr(RemotePath, "write", refuse)
    done = importer(
        "run", str(tmp_path / "a.csv"), "-m", str(mapping), "--sandbox", "--yes",
        "--ledger", str(tmp_path / "ledger.db"), "--out", "s3://exports/half",
    )  # fmt: skip
    assert done.exit_code == 1
    (here,) = tmp_path.glob("importer-out-*")
    assert sorted(path.name for path in here.iterdir()) == [
        "rejects.csv", "report.csv", "report.html", "sandbox-events.jsonl", "summary.json",
    ]  # fmt: skip
    assert names(store, "half/") == ["rejects.csv", "report.csv", "sandbox-events.jsonl"]
    said = " ".join(done.stderr.split())
    assert "error: s3://exports/half/report.html: access denied; the outputs are in " in said
    assert f"written to {here}\n" in done.stderr
    assert f"importer run {here}/rejects.csv" in said
    assert "importer run s3://exports/half/rejects.csv" not in said
    assert re.search(r"`importer report \S+ -o s3://exports/half` writes them again", said)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("https://example.com/out", "https://example.com/out: can be read, but nothing can be written there"),
        ("s3://nobody-has-this/out", "s3://nobody-has-this/out/.importer-probe: no such bucket"),
        ("gs://nobody-has-this/out", "gs://nobody-has-this/out/.importer-probe: no such bucket"),
        ("abfs://nobody-has-this/out", "abfs://nobody-has-this/out/.importer-probe: no such bucket"),
        ("ftp://example.com/out", "ftp://example.com/out: cannot be read from here"),
    ],
)
def test_a_place_that_takes_no_outputs_is_found_before_anything_is_sent(
    every_store: None, tmp_path: Path, mapping: Path, place: str, words: str
) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    ledger = str(tmp_path / "ledger.db")
    done = importer(
        "run", str(tmp_path / "a.csv"), "-m", str(mapping), "--yes", "--sandbox", "--ledger", ledger, "--out", place
    )
    assert done.exit_code == 2
    assert words in done.stderr
    assert not list(tmp_path.rglob("sandbox-events.jsonl"))


def test_an_address_in_a_path_is_refused(mapping: Path) -> None:
    options = RunOptions(("a.csv",), str(mapping))
    with pytest.raises(UsageError, match="an address is no path"):
        replace(options, out=Path("gs://exports/out"))
