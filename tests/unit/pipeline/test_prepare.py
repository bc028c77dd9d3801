"""From files to prepared chunks: which thread makes them, and that none is left behind."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from importer.errors import SourceError
from importer.mapping.load import loads
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_sources

MAPPING = loads("version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n", "m.yaml").mapping
ROWS = 200_000
"""Enough for some chunks."""


@pytest.fixture
def export(tmp_path: Path) -> str:
    path = tmp_path / "orders.csv"
    path.write_text("email\n" + "".join(f"c{number}@example.com\n" for number in range(ROWS)))
    return str(path)


def silent(_: str) -> None:
    """Nobody reads it."""


def test_chunks_come_in_the_order_of_the_file_each_with_its_bodies(export: str) -> None:
    with closing(prepare_sources([export], MAPPING, ReadOptions(), silent)) as found:
        chunks = [prepared for supply in found for prepared in supply.chunks]
    assert len(chunks) > 1
    assert [one.first_row for one in chunks] == [1 + sum(one.count for one in chunks[:at]) for at in range(len(chunks))]
    assert sum(one.count for one in chunks) == ROWS
    assert chunks[-1].rows["body"][-1].as_py() == b'{"subscriber":{"email":"c199999@example.com"},"type":"purchase"}'


def test_without_bodies_everything_else_is_the_same(export: str) -> None:
    with closing(prepare_sources([export], MAPPING, ReadOptions(bodies=False), silent)) as found:
        chunks = [prepared for supply in found for prepared in supply.chunks]
    assert all(one.rows["body"].null_count == one.count for one in chunks)
    assert {state for one in chunks for state in one.rows["state"].unique().to_pylist()} == {"pending"}


def test_who_stops_in_the_middle_leaves_no_thread_behind(export: str) -> None:
    before = threading.active_count()
    with closing(prepare_sources([export], MAPPING, ReadOptions(), silent)) as found:
        next(iter(next(found).chunks))
    assert threading.active_count() == before


def test_the_users_own_function_runs_on_the_thread_that_loaded_it(export: str, tmp_path: Path) -> None:
    script = tmp_path / "clean.py"
    script.write_text(
        "import threading\nHOME = threading.get_ident()\n"
        "def clean(df):\n    assert threading.get_ident() == HOME\n    return df\n"
    )
    with closing(prepare_sources([export], MAPPING, ReadOptions(transform=f"{script}:clean"), silent)) as found:
        assert sum(prepared.count for supply in found for prepared in supply.chunks) == ROWS


@pytest.mark.parametrize("stage", ["open_source", "validate", "encode"])
def test_an_unknown_exception_is_the_error_of_its_source_and_stops_no_other(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importer.pipeline import prepare

    def broken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise LookupError("what nobody foresaw\nand more")

    for name in ("bad.csv", "good.csv"):
        (tmp_path / name).write_text("email\na@example.com\n")
    said: list[str] = []
    monkeypatch.setattr(prepare, stage, broken)
    rows, errors = 0, []
    with closing(prepare_sources([str(tmp_path)], MAPPING, ReadOptions(), said.append)) as found:
        for stream in found:
            try:
                rows += sum(chunk.count for chunk in stream.chunks)
            except SourceError as error:
                errors.append(error.message)
            else:
                errors += [stream.error] if stream.error else []
    [message] = errors
    assert message.endswith("cannot be read; importer failed on it: LookupError: what nobody foresaw\\nand more")
    assert message in said[0]
    assert rows == 1
