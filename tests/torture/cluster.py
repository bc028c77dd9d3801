"""Several accounts on a cluster: Dask plans, PostgreSQL holds the ledger, S3 the files; workers and senders are killed.

Each account is a world of its own, a machine with its sandbox; ledger, workers and bucket are shared. What its report
says in the end must be what one process on one machine reports of the same files.
"""

from __future__ import annotations

import contextlib
import csv
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from importer.model import RunState, State
from tests.support.dask_cluster import DaskCluster
from tests.support.object_store import ObjectStore, object_store
from tests.support.postgres import Server
from tests.torture.audit import audit
from tests.torture.material import COLUMNS, Material, Shape, make
from tests.torture.scenario import Case, Tally, run_through, settle
from tests.torture.storm import doubt
from tests.torture.world import BrokenPromiseError, Weather, World

ACCOUNTS = ("shop-1", "shop-2", "shop-3")
KILLS = 2
"""Of workers while an account plans, and of its sender."""
_SAME = ("source", "row", "line", "state", "key", "subscriber", "type")
"""Columns of a report that say the same wherever and however often it ran, once nothing is in doubt."""
_SAME_IF_CERTAIN = ("code", "field", "message")
"""And those that remember what was in doubt."""


@dataclass(frozen=True, slots=True)
class StoredCase(Case):
    """A case whose sources are objects."""

    addresses: tuple[str, ...] = ()

    @property
    def run(self) -> tuple[str, ...]:
        """See `Case.run`."""
        return ("run", *self.addresses, "-m", str(self.material.mapping), *self.options)


class Cluster:
    """A scheduler with two workers, of which one can be killed again and again."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._dask = DaskCluster(home)
        self._dask.restore()
        self._in_use = Lock()
        self.address = self._dask.address

    def kill_a_worker(self, rng: random.Random) -> None:
        """With SIGKILL; another one starts in its place."""
        with self._in_use:
            one = rng.choice(self._dask.workers)
            one.kill()
            one.wait()
            self._dask.restore()

    def stop(self) -> None:
        """End all of it."""
        self._dask.stop()


def on_a_cluster(home: Path, rng: random.Random, rows: int = 3_000) -> Tally:
    """So many rows, a third of them for each account, half as CSV and half as Parquet; all accounts at once."""
    with contextlib.ExitStack() as stack:
        server = Server()
        stack.callback(server.remove)
        store = stack.enter_context(object_store())
        cluster = Cluster(home / "dask")
        stack.callback(cluster.stop)
        ledger = server.database()
        work: list[Callable[[], Tally]] = []
        for number, account in enumerate(ACCOUNTS):
            world = stack.enter_context(World(home / account))
            world.ledger, world.account = ledger, account
            world.environment = {**store.environment, "IMPORTER_SCHEDULER": cluster.address}
            world.patience += rows / 30
            shape = Shape(rows=rows // len(ACCOUNTS), sources=2, people=max(4, rows // 20), keyed=True)
            material = make(world.home / "exports", shape, rng, first=number * rows)
            case = _stored(material, store, account)
            world.change(case.weather)
            work.append(_Account(world, case, cluster, random.Random(rng.random())))
        with ThreadPoolExecutor(len(work)) as threads:
            waiting = [threads.submit(one) for one in work]
            total = Tally(runs=len(work))
            for one in waiting:
                total.add(one.result())
        return total


@dataclass(frozen=True, slots=True)
class _Account:
    world: World
    case: StoredCase
    cluster: Cluster
    rng: random.Random

    def __call__(self) -> Tally:
        """Plan and deliver through all kills; audit, settle what is in doubt, audit, compare."""
        world, case, tally = self.world, self.case, Tally()
        importer = world.launch(*case.run)
        for _ in range(KILLS):
            if importer.until(lambda: world.state() != ""):
                self.cluster.kill_a_worker(self.rng)
                tally.moments[f"a worker while {world.state()}"] += 1
        for _ in range(KILLS):
            wanted = world.arrived() + self.rng.randrange(1_500, 30_000)
            if not importer.kill_when(partial(_arrived, world, wanted), patience=world.patience):
                break
            tally.kills += 1
            tally.doubts.append(doubt(world, case))
            tally.moments[world.state()] += 1
            importer = world.launch(*case.run)
        importer.wait().expect(0, 1, 3)
        if world.state() != RunState.FINISHED:
            run_through(world, case, case.run)
        seen = audit(world, case.material, case.expected(stopped=False))
        doubtful = seen.numbers(State.IN_DOUBT)
        if len(doubtful) > sum(tally.doubts):
            raise BrokenPromiseError(f"{len(doubtful)} rows in doubt, {sum(tally.doubts)} were claimed by the killed")
        tally.rows = len(seen.states)
        settle(world, case, seen)
        world.importer("report", seen.run, "-o", str(world.out)).expect(0)
        _compare(world, case, doubtful)
        return tally


def _arrived(world: World, wanted: int) -> bool:
    return world.arrived() >= wanted


def _stored(material: Material, store: ObjectStore, account: str) -> StoredCase:
    """The first export as CSV, the second as Parquet, in the bucket."""
    addresses = []
    for at, path in enumerate(material.sources):
        data, key = path.read_bytes(), f"{account}/{path.name}"
        if at:
            texts = pc.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
            pq.write_table(pc.read_csv(path, convert_options=texts), path, row_group_size=5_000)
            data, key = path.read_bytes(), f"{account}/{path.stem}.parquet"
        addresses.append(store.put(key, data))
    named = dict(zip(map(str, material.sources), addresses, strict=True))
    rows = tuple(replace(row, source=named[row.source]) for row in material.rows)
    weather = Weather(latency=0.002)
    return StoredCase(replace(material, rows=rows), weather, resend=False, strict=False, addresses=tuple(addresses))


def _compare(world: World, case: StoredCase, doubtful: set[int]) -> None:
    """The report, and that of one process on one machine."""
    numbers = {(row.source, str(row.row)): row.number for row in case.material.rows}
    with World(world.home / "alone") as alone:
        alone.ledger = alone.home / "ledger.db"
        alone.environment = {name: word for name, word in world.environment.items() if name.startswith("AWS_")}
        alone.patience = world.patience
        alone.change(Weather())
        alone.importer(*case.run).expect(0, 1)
        for here, there in zip(_report(world), _report(alone), strict=True):
            number = numbers[here["source"], here["row"]]
            columns = _SAME if number in doubtful else _SAME + _SAME_IF_CERTAIN
            if other := [name for name in columns if here[name] != there[name]]:
                pairs = {name: (here[name], there[name]) for name in other}
                raise BrokenPromiseError(f"row {number} is reported otherwise than by one machine: {pairs}")


def _report(world: World) -> list[dict[str, str]]:
    with (world.out / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
