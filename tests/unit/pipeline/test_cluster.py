"""Workers prepare rows as one process does: the same events, reports and messages, whatever dies on the way."""

from __future__ import annotations

import csv
import gc
import json
import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import distributed  # noqa: F401  # its settings come with it
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask import config as dask_config

from importer.errors import SourceError, UsageError
from importer.ledger import planning
from importer.ledger.location import PostgresLocation
from importer.ledger.planning import Place
from importer.mapping.load import load
from importer.pipeline import cluster, prepare
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_sources
from importer.read import Limits, open_source
from tests.support.dask_cluster import DaskCluster
from tests.support.postgres import Server
from tests.support.processes import Forked
from tests.support.program import Outcome, importer

ROWS = 1_500
CASES = Path(__file__).parents[2] / "cases"
KINDS = ("a-broken-*", "compressed-*", "csv-*", "jsonl-*", "no-header-*", "ordered-*", "orders-*", "parquet-*")
"""Those in which reading, not converting, is what differs."""
MAPPING = """\
version: 1
where: [{column: total, above: 3}]
key: order
order_by: {column: when, as: datetime}
lookups: {people: {file: people.csv, key: who}}
subscriber: {email: {lookup: people, by: who, column: email}}
type: {const: purchase}
value: total
value_currency: {const: EUR}
properties: {note: note, when: {column: when, as: datetime}}
more_properties: {columns: "*"}
"""
GROUPS = """\
version: 1
group_by: order
subscriber: {email: email}
type: {const: purchase}
value: {column: total, aggregate: sum}
value_currency: {const: EUR}
properties: {notes: {column: note, aggregate: join}}
"""


@pytest.fixture(scope="module")  # not for longer: it uses CPU even when it has no work
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    found = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield found
    found.stop()


@pytest.fixture
def dask(dask_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> DaskCluster:
    """Small parts, so that a small file has many."""
    monkeypatch.setattr(prepare, "open_source", partial(open_source, limits=Limits(block=32 << 10, rows=500)))
    dask_cluster.restore()
    return dask_cluster


@pytest.fixture
def forked_workers() -> Iterator[None]:
    """Workers of this machine start from a process that has imported the importer; others start as Dask starts them."""
    Forked(gc.enable).wait()  # that process is there before Dask names what it should import instead
    with dask_config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    return tmp_path


def rows(count: int = ROWS) -> list[dict[str, Any]]:
    """Quotes that hold line ends and quotes, amounts that a filter leaves out or cannot read, keys that no one has."""
    return [
        {
            "order": f"A{number // 3}",
            "who": str(number % 700),
            "email": f"c{number // 3 % 700}@example.com",
            "total": "n/a" if number % 500 == 7 else f"{number % 90}.50",
            "note": f'line one, "{number}"\nline two' if number % 11 == 0 else "plain",
            "when": f"2025-{number % 12 + 1:02d}-{number % 28 + 1:02d} 10:00:00",
            "extra": None if number % 2 else "ž",
        }
        for number in range(count)
    ]


def write(folder: Path, count: int = ROWS) -> dict[str, Path]:
    """The same rows in three formats, and the file that they are looked up in; a CSV with broken rows."""
    table = pa.Table.from_pylist(rows(count))
    paths = {kind: folder / f"orders.{kind}" for kind in ("csv", "jsonl", "parquet")}
    with paths["csv"].open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table.column_names)
        writer.writeheader()
        writer.writerows(table.to_pylist())
        file.write('A,"never closed,x\nB,too few\n\n')
        writer.writerows(table.slice(0, 300).to_pylist())
    paths["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()) + "no json\n")
    pq.write_table(table, paths["parquet"], row_group_size=700)
    (folder / "people.csv").write_text(
        "who,email\n" + "".join(f"{number},p{number}@example.com\n" for number in range(650))
    )
    (folder / "m.yaml").write_text(MAPPING)
    (folder / "groups.yaml").write_text(GROUPS)
    return paths


def prepared(sources: list[str], mapping: Path, **options: Any) -> tuple[list[Any], list[str]]:
    """What becomes of the sources, chunk by chunk, and what is said."""
    said: list[str] = []
    found: list[Any] = []
    reading = ReadOptions(raw_rows=True, **options)
    with closing(prepare_sources(sources, load(str(mapping)).mapping, reading, said.append)) as streams:
        for stream in streams:
            found.append((stream.source, stream.error))
            try:
                found.extend(map(plain, stream.chunks))
            except SourceError as error:
                found.append(str(error))
            found.append(stream.digest())
    return found, said


def plain(chunk: Any) -> str:
    """An encoded chunk as text, in which even what is no number equals itself."""
    values = {name: getattr(chunk, name) for name in chunk.__struct_fields__}
    return repr({
        name: value.tolist() if isinstance(value, np.ndarray) else value.to_pylist() if hasattr(value, "to_pylist")
        else [one.to_pylist() for one in value] if isinstance(value, tuple) else value
        for name, value in values.items()
    })  # fmt: skip


def report(out: Path) -> tuple[list[dict[str, str]], bytes, dict[str, Any]]:
    """Report, rejects and summary without times and run ids."""
    with (out / "report.csv").open(newline="") as file:
        lines = [
            {name: cell for name, cell in line.items() if name not in {"run", "sent_at", "latency_ms"}}
            for line in csv.DictReader(file)
        ]
    summary = json.loads((out / "summary.json").read_text())
    rejects = (out / "rejects.csv").read_bytes().replace(summary["run"].encode(), b"RUN")
    kept = ("rows", "balanced", "exit_code", "reasons", "filters", "warnings")
    return lines, rejects, {name: summary[name] for name in kept if name in summary}


def run(out: Path, source: Path, mapping: Path, *more: str) -> Outcome:
    ledger = ("--ledger", str(out.with_suffix(".db")))
    return importer("run", str(source), "-m", str(mapping), "--sandbox", "--yes", "--out", str(out), *ledger, *more)


@pytest.mark.parametrize("mapping", ["m.yaml", "groups.yaml"])
def test_every_row_becomes_the_same_as_in_one_process(mapping: str, dask: DaskCluster, here: Path) -> None:
    """Quotes over lines, broken rows, lookups with keys that are not there, filters, order, groups; three formats."""
    paths = write(here)
    sources = [str(paths[kind]) for kind in ("csv", "jsonl", "parquet")] + ["orders.csv.missing"]
    (here / "orders.csv.missing").write_text("nothing,of,it\n1,2,3\n")
    one, said = prepared(sources, here / mapping)
    several, said_by_workers = prepared(sources, here / mapping, scheduler=dask.address)
    assert len(one) > 20
    assert several == one
    assert said_by_workers == said
    assert any("the lookup `people` has no row for 50 keys" in text for text in said) == (mapping == "m.yaml")


def test_cases_of_all_kinds_become_the_same_as_in_one_process(dask: DaskCluster) -> None:
    with cluster.connected(None, dask.address) as workers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "connected", lambda *_: nullcontext(workers))
        for folder in sorted(path for kind in KINDS for path in CASES.glob(kind)):
            sources, mapping = list(map(str, folder.glob("source.*"))), folder / "mapping.yaml"
            assert prepared(sources, mapping, scheduler=dask.address) == prepared(sources, mapping), folder.name


def test_report_and_summary_are_those_of_one_machine(dask: DaskCluster, here: Path) -> None:
    paths = write(here, 900)
    one = run(here / "one", paths["csv"], here / "m.yaml")
    several = run(here / "several", paths["csv"], here / "m.yaml", "--scheduler", dask.address)
    assert (several.exit_code, one.exit_code) == (1, 1), several.stderr
    assert report(here / "several") == report(here / "one")


def test_the_users_own_function_comes_to_the_workers(dask: DaskCluster, here: Path) -> None:
    """With its row numbers; where it fails, the error shows the line of the file."""
    paths = write(here)
    (here / "clean.py").write_text(
        "def clean(df):\n    df['note'] = [f'row {row}' for row in df.index]\n    return df[df.index % 5 > 0]\n"
        "def broken(df):\n    return df['totl']\n"
    )
    source, groups = [str(paths["csv"])], here / "groups.yaml"
    several = prepared(source, groups, transform="clean.py:clean", scheduler=dask.address)
    assert several == prepared(source, groups, transform="clean.py:clean")
    outcome = run(here / "out", paths["csv"], groups, "--transform", "clean.py:broken", "--scheduler", dask.address)
    assert outcome.exit_code == 2
    assert "clean.py:broken failed on rows 1 to" in outcome.stderr
    assert "(clean.py, line 5: return df['totl'])" in outcome.stderr


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("own", [True, False])
def test_what_a_killed_worker_had_in_hand_is_done_again(dask: DaskCluster, here: Path, own: bool) -> None:
    paths = write(here)
    (here / "kill.py").write_text(
        "import os, pathlib, signal\ndef once(df):\n\n"
        f"    marker = pathlib.Path({str(here / 'killed')!r})\n"
        "    if df.index[0] > 500 and not marker.exists():\n"
        "        marker.touch()\n        os.kill(os.getpid(), signal.SIGKILL)\n    return df\n"
        "def never(df):\n    return df\n"
    )
    which: dict[str, Any] = {"workers": 1} if own else {"scheduler": dask.address}
    several = prepared([str(paths["csv"])], here / "m.yaml", transform="kill.py:once", **which)
    assert (here / "killed").exists()
    assert several == prepared([str(paths["csv"])], here / "m.yaml", transform="kill.py:never")


@pytest.mark.usefixtures("forked_workers")
def test_a_part_that_kills_whoever_takes_it_is_its_sources_error(here: Path) -> None:
    """The other sources are prepared all the same."""
    (here / "one.csv").write_text("order,email\n1,ada@example.com\n")
    (here / "two.csv").write_text("order,email\n2,bob@example.com\n")
    (here / "s.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n")
    (here / "kill.py").write_text(
        "import os\ndef kill(df):\n    if '1' in set(df['order']):\n        os.kill(os.getpid(), 9)\n    return df\n"
    )
    options = ("--sandbox", "--transform", "kill.py:kill", "--workers", "1", "--out", "out")
    with dask_config.set({"distributed.scheduler.allowed-failures": 0}):
        outcome = importer("run", "one.csv", "two.csv", "-m", "s.yaml", *options)
    summary = json.loads((here / "out/summary.json").read_bytes())
    assert outcome.exit_code == 1, outcome.stderr
    assert [bool(source["error"]) for source in summary["sources"]] == [True, False]
    assert summary["sources"][0]["error"] == (
        "one.csv: the part that begins with row 1 cannot be prepared: 1 worker died of it"
    )
    assert summary["rows"]["sent"] == 1


def test_a_file_that_changes_while_it_is_read_is_noticed(dask: DaskCluster, here: Path) -> None:
    paths = write(here)
    (here / "grow.py").write_text(
        f"def grow(df):\n    with open({str(paths['csv'])!r}, 'a') as file:\n        file.write('x')\n    return df\n"
    )
    _, said = prepared([str(paths["csv"])], here / "groups.yaml", transform="grow.py:grow", scheduler=dask.address)
    assert any("has changed while it was read" in text for text in said)


def test_workers_with_other_lookups_are_refused(dask: DaskCluster, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(here)
    monkeypatch.setattr(prepare, "content_of", lambda _: [["people", "people.csv", "other"]])
    with pytest.raises(UsageError, match="a worker finds other lookups"):
        prepared([str(paths["csv"])], here / "m.yaml", scheduler=dask.address)


def test_workers_of_another_version_are_refused(dask: DaskCluster, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(here)
    monkeypatch.setattr(cluster, "__version__", "99")
    outcome = run(here / "out", paths["csv"], here / "m.yaml", "--scheduler", dask.address)
    assert outcome.exit_code == 2
    assert "and this machine 99" in outcome.stderr


def test_a_scheduler_that_is_not_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    outcome = run(here / "out", write(here)["csv"], here / "m.yaml", "--scheduler", "tcp://127.0.0.1:9")
    assert outcome.exit_code == 2
    assert "--scheduler tcp://127.0.0.1:9: cannot be reached" in outcome.stderr


def test_workers_of_this_machine_do_not_see_the_token(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", "secret-of-the-account-1234")
    with cluster.connected(1, None) as workers:
        assert list(workers.map(os.environ.get, ["SENDER_API_TOKEN", "HOME"], RuntimeError)) == [
            None,
            os.environ["HOME"],
        ]
    assert os.environ["SENDER_API_TOKEN"] == "secret-of-the-account-1234"


def test_the_two_options_exclude_each_other(here: Path) -> None:
    outcome = importer("run", "x.csv", "-m", "m.yaml", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9")
    assert outcome.exit_code == 2
    assert "--workers and --scheduler exclude each other" in outcome.stderr


def test_without_its_scheduler_a_run_ends_and_leaves_nothing(dask: DaskCluster, here: Path) -> None:
    paths = write(here)
    assert dask.scheduler is not None
    (here / "kill.py").write_text(f"import os\ndef kill(df):\n    os.kill({dask.scheduler.pid}, 9)\n    return df\n")
    outcome = run(
        here / "out", paths["csv"], here / "m.yaml", "--transform", "kill.py:kill", "--scheduler", dask.address
    )
    assert outcome.exit_code == 3
    assert "the connection to Dask's scheduler is lost; nothing was sent" in outcome.stderr
    assert "no runs" in importer("runs", "--sandbox", "--ledger", str(here / "out.db")).stderr.lower()


# Workers that write


@pytest.fixture
def location(postgres: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PostgresLocation]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    location = postgres.database()
    yield location
    postgres.release(location)


WRITING = """\
import os, pathlib, signal
from importer.ledger import planning

def dying(writes):
    write = planning.__dict__.setdefault("original", planning.write)
    def once(*arguments):
        marker = pathlib.Path("KILLED")
        made = write(*arguments) if writes else None
        if arguments[3].first_row > 300 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return made or write(*arguments)
    planning.write = once

def before(df):
    dying(False)
    return df

def after(df):
    dying(True)
    return df

def never(df):
    planning.write = planning.__dict__.get("original", planning.write)
    return df
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_workers_write_into_a_shared_ledger_whenever_one_is_killed(
    dask: DaskCluster, here: Path, location: PostgresLocation, moment: str
) -> None:
    """Before it writes, and after its commit, before anyone knows of it; the report is that of one writer."""
    paths = write(here, 900)
    (here / "clean.py").write_text(WRITING.replace("KILLED", str(here / "killed")))
    there = ("--transform", f"clean.py:{moment}", "--ledger", location.uri, "--scheduler", dask.address)
    several = run(here / "several", paths["csv"], here / "m.yaml", *there)
    assert (here / "killed").exists(), several.stderr
    own = ("--transform", "clean.py:never", "--scheduler", dask.address)
    one = run(here / "one", paths["csv"], here / "m.yaml", *own)
    assert (several.exit_code, one.exit_code) == (1, 1), several.stderr
    assert report(here / "several") == report(here / "one")


def test_rows_of_several_accounts_are_written_by_workers_too(
    dask: DaskCluster, here: Path, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the accounts of a source are known; a later source has one that is new."""
    lines = [f"{row},{'ab'[row % 2]},c{row}@example.com" for row in range(400)]
    (here / "1.csv").write_text("order,shop,email\n" + "\n".join([*lines, "x,nobody,x@example.com"]) + "\n")
    (here / "2.csv").write_text("order,shop,email\n" + "".join(f"c{row},c,c{row}@example.com\n" for row in range(20)))
    (here / "m.yaml").write_text("version: 1\nkey: order\nsubscriber: {email: email}\ntype: {const: purchase}\n")
    monkeypatch.setattr(prepare, "open_source", partial(open_source, limits=Limits(rows=20)))
    names = "".join(f"  {name}: {{token_env: TOKEN_{name}}}\n" for name in "abc")
    (here / "accounts.yaml").write_text(f"version: 1\ncolumn: shop\naccounts:\n{names}")
    by_head: list[int] = []
    write = planning.write

    def noted(*arguments: Any) -> Any:
        by_head.append(arguments[3].first_row)
        return write(*arguments)

    monkeypatch.setattr(planning, "write", noted)
    found = []
    for name, *there in (("one",), ("several", "--ledger", location.uri, "--scheduler", dask.address)):
        by_head.clear()
        more = ("--accounts", "accounts.yaml", "--sandbox", "--yes", "--out", name)
        outcome = importer("run", "1.csv", "2.csv", "-m", "m.yaml", *more, *there)
        assert outcome.exit_code == 1, outcome.stderr
        found.append([report(here / name / account)[0] for account in ("a", "b", "c", "unassigned")])
    assert [len(lines) for lines in found[0]] == [200, 200, 20, 1]
    assert found[1] == found[0]
    assert 0 < len(by_head) < 14 < 2 * 400 / 20


def test_a_password_does_not_travel_where_others_can_read_it(
    dask: DaskCluster, here: Path, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To workers of a scheduler without TLS, which find one by themselves."""
    sent: list[Any] = []
    pack = cluster._pack

    def packed(item: Any, directory: str | None) -> cluster.Parcel:
        sent.append(item)
        return pack(item, directory)

    monkeypatch.setattr(cluster, "_pack", packed)
    monkeypatch.setenv("IMPORTER_LEDGER", location.uri.replace("importer@", "importer:geheim@"))
    source, mapping = write(here, 300)["csv"], here / "m.yaml"
    outcome = importer("run", str(source), "-m", str(mapping), "--sandbox", "--yes", "--scheduler", dask.address)
    assert outcome.exit_code == 1, outcome.stderr
    assert {place.location.has_password for _, places in sent for place in places.values()} == {False}


def test_a_worker_that_cannot_reach_the_ledger_ends_the_run(
    dask: DaskCluster, here: Path, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 3, and nothing of it is kept."""
    paths = write(here)
    nowhere = PostgresLocation("postgresql://importer@127.0.0.1:9/x")
    monkeypatch.setattr(Place, "without_password", lambda place: msgspec.structs.replace(place, location=nowhere))
    on_server = ("--ledger", location.uri, "--scheduler", dask.address)
    outcome = run(here / "out", paths["csv"], here / "m.yaml", *on_server)
    assert outcome.exit_code == 3
    assert (
        "cannot write into the ledger: the ledger postgresql://importer@127.0.0.1:9/x cannot be reached"
        in outcome.stderr
    )
    assert "no runs" in importer("runs", "--sandbox", "--ledger", location.uri).stderr.lower()
