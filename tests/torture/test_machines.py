"""Two machines, one account, a ledger in PostgreSQL: one sends, and another takes over when it is killed.

What makes two machines of one is that each sees locks of its own. The lease that the first one leaves is aged in the
database, as nobody can wait for it here.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.ledger.database import Database
from importer.ledger.ledger import dialect_of
from importer.ledger.location import PostgresLocation
from importer.ledger.locks import ANSWER_SECONDS, LEASE_SECONDS
from importer.model import State
from tests.support.postgres import Server
from tests.torture.audit import Expected, audit
from tests.torture.material import Shape, make
from tests.torture.scenario import MOST_AHEAD, MOST_IN_FLIGHT
from tests.torture.servers import Proxy
from tests.torture.world import Weather, World

LEASE = 6.0


AHEAD = "import time\nreal = time.time\ntime.time = lambda: real() + 600\n"
"""A clock that is ten minutes wrong."""
HASTY = f"""\
from importer.ledger import locks, queue
locks.LEASE_SECONDS, locks.RENEW_SECONDS, locks.MARGIN_SECONDS, locks.ANSWER_SECONDS = {LEASE}, 0.5, 2.0, 2.0
queue.RECONNECT_SECONDS = 60.0
"""
"""As many seconds as it otherwise takes minutes."""


@pytest.fixture
def world(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "auditor"))
    with World(tmp_path / "world") as world:
        world.ledger = postgres.database()
        world.change(Weather(latency=2.0))
        yield world


def age_leases(world: World, seconds: float) -> None:
    with contextlib.closing(Database(dialect_of(world.ledger))) as database:
        database.execute("UPDATE lease SET ends_at = ends_at - $1", seconds)


def test_one_sends_and_another_takes_over_when_it_was_killed(world: World, tmp_path: Path) -> None:
    """Nothing twice, nothing lost, and what the dead one had claimed is named."""
    material = make(tmp_path / "exports", Shape(rows=400, people=200), random.Random("machines"))
    more = make(tmp_path / "more", Shape(rows=5, people=5), random.Random("more"))
    command = ("run", *map(str, material.sources), "-m", str(material.mapping), "--yes", "--out", "out")
    world.before = AHEAD
    first = world.launch(*command)
    assert first.until(lambda: world.arrived() > 1200), first.stderr

    world.machine, world.before = "other-machine", ""
    assert ", process " in world.importer(*command).expect(3).stderr
    other = world.importer("run", *map(str, more.sources), "-m", str(more.mapping), "--yes", "--out", "more-out")
    assert "sends for this account now" in other.expect(3).stderr

    assert first.kill_when(lambda: True, patience=0.0)
    claimed = world.claimed()
    age_leases(world, LEASE_SECONDS + 1)
    world.importer(*command).expect(3)  # a request may still be under way
    age_leases(world, ANSWER_SECONDS)
    world.change(Weather())
    world.importer(*command).expect(0, 1)
    seen = audit(world, material, Expected())
    assert len(seen.numbers(State.IN_DOUBT)) == claimed > 0
    assert not seen.numbers(State.PENDING)


def test_a_sender_that_is_cut_off_for_longer_than_its_lease_stops_before_another_takes_over(
    world: World, postgres: Server, tmp_path: Path
) -> None:
    """It cannot know that the other one sends; that its lease ends, it knows by itself."""
    assert isinstance(world.ledger, PostgresLocation)
    material = make(tmp_path / "exports", Shape(rows=600, people=300), random.Random("partition"))
    command = ("run", *map(str, material.sources), "-m", str(material.mapping), "--yes", "--out")
    world.before = HASTY
    name = world.ledger.uri.partition("?")[0].rpartition("/")[2]
    with Proxy(postgres.home / ".s.PGSQL.5432") as proxy:
        world.reached_by = PostgresLocation(f"postgresql://importer@127.0.0.1:{proxy.port}/{name}?sslmode=disable")
        first = world.launch(*command, "first")
        assert first.until(lambda: world.arrived() > 1200), first.stderr
        world.reached_by, world.machine = None, "other-machine"
        other = world.launch(*command, "out", "--wait")
        assert other.until(lambda: "waiting for it" in other.stderr), other.stderr
        proxy.swallow()
        world.change(Weather())
        other.wait().expect(0, 1)
        proxy.mend()
        first.wait().expect(1, 3)
    # It has told the ledger what was answered while it was cut off: its report is the last word.
    seen = audit(world, material, Expected(), world.home / "first")
    assert not seen.numbers(State.PENDING)
    assert len(seen.numbers(State.IN_DOUBT)) <= MOST_IN_FLIGHT + MOST_AHEAD
