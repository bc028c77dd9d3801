"""The short version of ``--servers``: each hindrance once, and a full disk of the server."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from importer.ledger.location import PostgresLocation
from importer.model import State
from tests.support.postgres import Server
from tests.torture.audit import Expected, audit
from tests.torture.material import Material, Shape, make
from tests.torture.servers import HINDRANCES, Proxy, fill, small_disk
from tests.torture.world import Weather, World


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return make(tmp_path / "exports", Shape(rows=120, people=60), random.Random("servers"))


@pytest.fixture
def world(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "auditor"))
    with World(tmp_path / "world") as world:
        world.ledger = server.database()
        yield world


def more_arrived(world: World, before: int) -> bool:
    return world.arrived() > before


def command(material: Material) -> tuple[str, ...]:
    return ("run", *map(str, material.sources), "-m", str(material.mapping), "--yes", "--out", "out")


def test_a_server_that_is_restarted_refuses_falls_silent_or_is_slow_costs_nothing(
    world: World, server: Server, material: Material
) -> None:
    """All in one delivery: nothing is lost, sent twice or out of order, and at most rows under way are in doubt."""
    assert isinstance(world.ledger, PostgresLocation)
    name = world.ledger.uri.partition("?")[0].rpartition("/")[2]
    with Proxy(server.home / ".s.PGSQL.5432") as proxy:
        world.reached_by = PostgresLocation(f"postgresql://importer@127.0.0.1:{proxy.port}/{name}?sslmode=disable")
        world.change(Weather(latency=0.5))
        importer = world.launch(*command(material))
        for kind, hinder in HINDRANCES.items():
            assert importer.until(partial(more_arrived, world, world.arrived())), (kind, importer.stderr)
            hinder(server, proxy, 0.3)
        world.change(Weather())
        importer.wait().expect(0, 1, 3)
        proxy.delay = 0.0
        world.importer("resume", "--yes").expect(0, 1, 2)
    seen = audit(world, material, Expected())
    assert not seen.numbers(State.PENDING)


def test_a_full_disk_of_the_server_stops_the_run_and_it_goes_on_when_there_is_room(
    world: World, server: Server, material: Material, tmp_path: Path
) -> None:
    disk = server.home / "disk"
    with small_disk(disk, 24) as mounted:
        if not mounted:
            pytest.skip("no disk can be mounted here")
        owner = server.home.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        server.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        world.ledger = server.empty()
        name = world.ledger.uri.partition("?")[0].rpartition("/")[2]
        server.execute(f"ALTER DATABASE {name} SET TABLESPACE small")
        many = make(tmp_path / "many", Shape(rows=400, people=200), random.Random("full"))
        world.change(Weather())
        world.importer("runs").expect(0)  # makes the tables
        ballast = fill(disk)
        done = world.importer(*command(many)).expect(3)
        assert "no room left on the disk" in done.stderr
        assert not world.accepted()
        ballast.unlink()
        world.change(Weather(latency=0.3))
        importer = world.launch(*command(many))
        assert importer.until(lambda: world.arrived() > 0), importer.stderr
        ballast = fill(disk)
        importer.wait().expect(0, 1, 3)
        ballast.unlink()
        world.change(Weather())
        world.importer(*command(many)).expect(0, 1)
        audit(world, many, Expected())
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.execute("DROP TABLESPACE small")
