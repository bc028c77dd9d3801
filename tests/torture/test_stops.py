"""Ways for a real importer to stop before its end: each leaves a run that goes on, with nothing lost or sent twice."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.model import State
from tests.torture.audit import Audit, Expected, audit
from tests.torture.material import Material, Shape, make, write_mapping
from tests.torture.world import TOKENS, Importer, Weather, World

STOPPED = Expected(stopped=True)
SLOW = Weather(latency=0.8)
"""So slow that much is left to do when a signal comes, however late this process gets its turn."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        world.change(SLOW)
        yield world


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return make(tmp_path / "exports", Shape(rows=160, people=80), random.Random("stops"))


def command(material: Material, *options: str) -> tuple[str, ...]:
    return ("run", *map(str, material.sources), "-m", str(material.mapping), "--yes", "--out", "out", *options)


@pytest.fixture(autouse=True)
def hangup_as_in_a_terminal() -> Iterator[None]:
    """Under nohup, SIGHUP is ignored, and a child inherits that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def under_way(world: World, *arguments: str, events: int = 12) -> Importer:
    """An importer that has sent so many events and has not ended."""
    importer = world.launch(*arguments)
    assert importer.until(lambda: world.arrived() > 100 * events), importer.stderr
    return importer


def carry_on(world: World, material: Material, *, aside: frozenset[int] = frozenset()) -> Audit:
    """Resume in fair weather: everything arrives, once and in order."""
    world.change(Weather())
    world.importer("resume", "--yes").expect(1)
    return audit(world, material, Expected(settled=not aside, aside=aside))


def listed_as_in_doubt(world: World, seen: Audit) -> int:
    """Rows in doubt, by the command that lists them."""
    return world.importer("resolve", seen.run).expect(0).stdout.count("doubt.crash\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_cleanly_with_a_report_and_nothing_in_doubt(
    world: World, material: Material, number: signal.Signals
) -> None:
    importer = under_way(world, *command(material))
    importer.signal(number)
    done = importer.wait().expect(3)
    assert "stopped: interrupted" in done.stderr
    assert re.search(
        r"the same command again goes on, and so does `importer resume \d{8}-", " ".join(done.stderr.split())
    )
    seen = audit(world, material, STOPPED)
    assert seen.numbers(State.PENDING)
    assert not seen.numbers(State.IN_DOUBT)
    carry_on(world, material)


def test_a_second_signal_ends_at_once_and_only_what_was_under_way_is_in_doubt(world: World, material: Material) -> None:
    world.change(Weather(latency=2.0))
    importer = under_way(world, *command(material), events=1)
    importer.signal(signal.SIGINT)
    assert importer.until(lambda: "press Ctrl-C again" in importer.stderr)
    importer.signal(signal.SIGINT)
    assert importer.wait().code == 130
    in_flight = len(world.accepted())
    assert 1 <= in_flight <= world.claimed() <= in_flight + 1
    seen = carry_on(world, material, aside=frozenset(world.accepted()[:in_flight]))
    assert len(seen.numbers(State.IN_DOUBT)) == listed_as_in_doubt(world, seen)


def test_an_expired_token_stops_the_run_and_a_new_one_goes_on(world: World, material: Material) -> None:
    world.change(Weather(faults="token-after=40"))
    done = world.importer(*command(material)).expect(3)
    assert "the API answered 401" in done.stderr
    seen = audit(world, material, STOPPED)
    assert len(seen.numbers(State.SENT)) == 39, "the first of the 40 requests is the question for the limit"
    assert not seen.numbers(State.IN_DOUBT, State.REFUSED)
    world.token = TOKENS[1]
    carry_on(world, material)


def test_the_same_command_beside_itself_sends_nothing(world: World, material: Material) -> None:
    importer = under_way(world, *command(material))
    importer.signal(signal.SIGSTOP)  # it is still at it when the second has started, however long that takes
    beside = world.importer(*command(material, "--out", "out-beside"))
    importer.signal(signal.SIGCONT)
    assert "is being delivered by another process" in beside.expect(2).stderr
    before = world.arrived()
    assert importer.until(lambda: world.arrived() > before), "it goes on"
    importer.signal(signal.SIGINT)
    importer.wait().expect(3)
    carry_on(world, material)


def test_a_changed_mapping_sends_only_what_the_old_one_has_left(world: World, material: Material) -> None:
    world.change(Weather())
    world.importer(*command(material, "--max-events", "60")).expect(3)
    write_mapping(material.mapping, material.shape, kind="order")
    done = world.importer(*command(material)).expect(1)
    assert "with this mapping instead of that run's" in done.stderr
    assert sorted(world.accepted()) == sorted(material.deliverable())
    kinds = [line.count(b'"order"') for line in world.events.read_bytes().splitlines()]
    assert kinds == [0] * 60 + [1] * (len(kinds) - 60)
    assert "there is no run to resume" in world.importer("resume", "--yes").expect(2).stderr


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    """A disk of its own for a directory; the test is skipped where none can be mounted."""
    path.mkdir(parents=True)
    options = f"size={megabytes}m"
    mount = shutil.which("mount")
    if (
        os.geteuid()
        or not mount
        or subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", path], check=False).returncode
    ):
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_while_sending_stops_the_run_and_nothing_is_lost(world: World, material: Material) -> None:
    with small_disk(world.home / "disk", 8):
        world.ledger = world.home / "disk" / "ledger.db"
        importer = under_way(world, *command(material))
        ballast = world.ledger.with_name("ballast")
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        done = importer.wait().expect(3)
        assert "no room left on the disk of the ledger" in done.stderr
        claimed = world.claimed()
        ballast.unlink()
        world.change(Weather())
        world.importer("resume", "--yes").expect(1)
        seen = audit(world, material, Expected())
        assert len(seen.numbers(State.IN_DOUBT)) == claimed <= 64


def test_a_full_disk_while_reading_stops_before_anything_is_sent(world: World, material: Material) -> None:
    with small_disk(world.home / "disk", 8):
        world.ledger = world.home / "disk" / "ledger.db"
        ballast = world.ledger.with_name("ballast")
        ballast.write_bytes(bytes((8 << 20) - (120 << 10)))
        done = world.importer(*command(material)).expect(3)
        assert "no room left on the disk" in done.stderr
        assert not world.accepted()
        ballast.unlink()
        world.change(Weather())
        world.importer(*command(material)).expect(1)
        audit(world, material, Expected(settled=True))


def test_a_ledger_that_may_not_grow_stops_the_run_and_nothing_is_lost(world: World, material: Material) -> None:
    """As under a quota of the file's size, of which the system speaks in other words than of a full disk."""
    limited = ("prlimit", f"--fsize={160_000}")
    if not shutil.which(limited[0]):
        pytest.skip("prlimit is not there")
    world.change(Weather())
    done = world.launch(*command(material), prefix=limited).wait()
    assert done.expect(3).stderr.count("error: ") == 1
    world.importer(*command(material)).expect(1)
    audit(world, material, Expected())
