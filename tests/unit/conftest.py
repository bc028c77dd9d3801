"""Databases that ledgers are tested on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.ledger.location import LedgerLocation, PostgresLocation
from tests.support import ledgers
from tests.support.postgres import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`each_database` is SQLite, then PostgreSQL; rules with invented examples are tried on SQLite alone, for time."""
    if "each_database" in metafunc.fixturenames:
        invented = getattr(metafunc.function, "is_hypothesis_test", False)
        metafunc.parametrize("each_database", ["sqlite"] if invented else ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def each_database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test runs twice; `tests.support.ledgers` keeps its ledgers in SQLite files, then in PostgreSQL."""
    if request.param == "sqlite":
        yield
        return
    server: Server = request.getfixturevalue("postgres")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made: dict[Path, PostgresLocation] = {}

    def locate(directory: Path) -> LedgerLocation:
        if directory not in made:
            made[directory] = server.database()
        return made[directory]

    monkeypatch.setattr(ledgers, "locate", locate)
    yield
    for location in made.values():
        server.release(location)
