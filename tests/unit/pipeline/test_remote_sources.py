"""The commands take addresses as they take files, and a run knows an object by its content and version."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import importer as library
from importer.errors import UsageError
from importer.library import Settings
from importer.lookups import content_of
from importer.mapping.load import load
from importer.pipeline import find
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import RunOptions, TargetOptions
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


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "a.csv", "-m", "m.yaml", "--yes", "--sandbox", "--out", "s3://exports/out"),
        ("check", "a.csv", "-m", "m.yaml", "--out", "s3://exports/out"),
        ("report", "-o", "s3://exports/out"),
        ("watch", "s3://exports/out", "-m", "m.yaml", "--sandbox"),
    ],
)
def test_outputs_and_drops_behind_an_address_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = importer(*arguments)
    assert done.exit_code == 2
    assert "s3://exports/out: only sources can be read from s3://" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_library_refuses_them_too(tmp_path: Path, mapping: Path) -> None:
    options = RunOptions(("a.csv",), str(mapping))
    with pytest.raises(UsageError, match="must be a directory here"):
        replace(options, out=Path("gs://exports/out"))
