"""Three accounts by one command on a cluster: Dask plans, PostgreSQL holds the ledger, S3 the files.

Workers are killed while they plan, and the sender while it sends. Each account's books are audited by themselves; what
its report says in the end must be what one process on one machine reports of the same files.
"""

from __future__ import annotations

import contextlib
import csv
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from importer.mapping.accounts import UNASSIGNED
from importer.model import NO_ACCOUNT, RunState, State
from tests.support.dask_cluster import DaskCluster
from tests.support.object_store import ObjectStore, s3
from tests.support.postgres import Server
from tests.torture.audit import Audit, audit
from tests.torture.material import COLUMNS, Material, Row, Shape, draw, write, write_mapping
from tests.torture.scenario import Case, Tally, settle
from tests.torture.storm import doubt
from tests.torture.world import BrokenPromiseError, Importer, Weather, World

SHOPS = ("shop-1", "shop-2", "shop-3")
KILLS = 2
"""Of workers while they plan, and of the sender."""
_NOBODY = "shop-9"
"""What some rows say, and no account is called."""
_BYTES = 250
"""Of the sandbox's record of an event, at the least."""
_SAME = ("source", "row", "line", "state", "key", "subscriber", "type")
"""Columns of a report that say the same wherever and however often it ran, once nothing is in doubt."""
_SAME_IF_CERTAIN = ("code", "field", "message")
"""And those that remember what was in doubt."""


@dataclass(frozen=True, slots=True)
class Errand(Case):
    """One command for all accounts; sources are objects."""

    addresses: tuple[str, ...] = ()
    accounts: str = ""

    @property
    def run(self) -> tuple[str, ...]:
        """See `Case.run`."""
        accounts = ("--accounts", self.accounts)
        return ("run", *self.addresses, "-m", str(self.material.mapping), *accounts, *self.options)


class Books(World):
    """What one account has of a world, for an audit of its own."""

    def __init__(self, whole: World, account: str, material: Material) -> None:
        super().__init__(whole.home)
        self.whole = whole
        self.ledger, self.account, self.out = whole.ledger, account, whole.out / account
        self.material = material
        self._numbers = {row.number for row in material.rows}

    @property
    def url(self) -> str:
        """See `World.url`."""
        return self.whole.url

    def launch(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Importer:
        """See `World.launch`."""
        return self.whole.launch(*arguments, prefix=prefix)

    def accepted(self) -> list[int]:
        """See `World.accepted`."""
        return [number for account, number in arrivals(self.whole) if account == self.account]


def arrivals(world: World) -> list[tuple[str, int]]:
    """The account and the row's number of each event that the sandbox accepted, in order."""
    lines = map(json.loads, world.events.read_bytes().splitlines())
    return [(line["account"], line["event"]["properties"]["row"]) for line in lines]


class Cluster:
    """A scheduler with two workers, of which one can be killed again and again."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._dask = DaskCluster(home)
        self._dask.restore()
        self.address = self._dask.address

    def kill_a_worker(self, rng: random.Random) -> None:
        """With SIGKILL; another one starts in its place."""
        one = rng.choice(self._dask.workers)
        one.kill()
        one.wait()
        self._dask.restore()

    def stop(self) -> None:
        """End all of it."""
        self._dask.stop()


def on_a_cluster(home: Path, rng: random.Random, rows: int = 3_000) -> Tally:
    """So many rows of three accounts, half of them as CSV and half as Parquet, through all kills to their end."""
    with contextlib.ExitStack() as stack:
        server = Server()
        stack.callback(server.remove)
        store = stack.enter_context(s3())
        cluster = Cluster(home / "dask")
        stack.callback(cluster.stop)
        world = stack.enter_context(World(home / "world"))
        world.ledger, world.account, world.shops = server.database(), NO_ACCOUNT, SHOPS
        world.environment = {**store.environment, "IMPORTER_SCHEDULER": cluster.address}
        world.patience += rows / 50
        case, owners = _draw(world, store, rows, rng)
        world.change(case.weather)
        tally = Tally(runs=1, rows=rows)
        _carry_through(world, case, cluster, rng, tally)
        _audit(world, case, owners, tally)
        return tally


def _draw(world: World, store: ObjectStore, rows: int, rng: random.Random) -> tuple[Errand, dict[int, str]]:
    """The errand, and whose each row is."""
    home = world.home / "exports"
    home.mkdir()
    shape = Shape(rows=rows, sources=2, people=max(4, rows // 4), keyed=True, busy=0.01)
    found: list[Row] = []
    addresses, owners = [], {}
    for source, name in enumerate(("orders-1.csv", "orders-2.parquet")):
        drawn = draw(shape, rng, range(source * rows // 2, (source + 1) * rows // 2))
        for cells in drawn:
            cells["shop"] = rng.choice(SHOPS) if rng.random() < 0.99 else _NOBODY
            owners[int(cells["n"])] = cells["shop"]
        path = home / name
        read = write(path, drawn, (*COLUMNS, "shop"))
        if path.suffix == ".parquet":
            texts = pc.ConvertOptions(column_types=dict.fromkeys((*COLUMNS, "shop"), pa.string()))
            pq.write_table(pc.read_csv(path, convert_options=texts), path, row_group_size=5_000)
        addresses.append(store.put(name, path.read_bytes()))
        found += [replace(row, source=addresses[-1]) for row in read]
    mapping, accounts = home / "mapping.yaml", home / "accounts.yaml"
    write_mapping(mapping, shape)
    named = [f"  {shop}: {{token_env: {world.variable(shop)}}}\n" for shop in SHOPS]
    accounts.write_text("".join(["version: 1\ncolumn: shop\naccounts:\n", *named]), encoding="ascii")
    material = Material(shape, (), mapping, tuple(found))
    errand = Errand(material, Weather(), resend=False, strict=False, addresses=tuple(addresses), accounts=str(accounts))
    return errand, owners


def _carry_through(world: World, case: Errand, cluster: Cluster, rng: random.Random, tally: Tally) -> None:
    """Plan and deliver through all kills."""
    rows = len(case.material.rows)
    importer = world.launch(*case.run)
    for _ in range(KILLS):
        importer.until(lambda: world.state() != "", pause=0.1)
        time.sleep(rng.uniform(0.0, rows / 100_000))
        cluster.kill_a_worker(rng)
        tally.moments[f"a worker while {world.state()}"] += 1
    for kill in range(KILLS):
        wanted = int(rows * _BYTES * rng.uniform(kill, kill + 1) / (KILLS + 1))
        if not importer.kill_when(partial(_arrived, world, wanted), patience=world.patience):
            break
        tally.kills += 1
        tally.moments[world.state()] += 1
        tally.doubts += [doubt(Books(world, shop, case.material), case) for shop in SHOPS]
        importer = world.launch(*case.run)
    for _ in range(4):
        importer.wait().expect(0, 1, 3)
        if world.state() == RunState.FINISHED:
            return
        importer = world.launch(*case.run)
    raise BrokenPromiseError(f"the accounts do not come to their end:\n{importer.stderr[-2000:]}")


def _arrived(world: World, wanted: int) -> bool:
    return world.arrived() >= wanted


def _audit(world: World, case: Errand, owners: dict[int, str], tally: Tally) -> None:
    """Each account's books, by themselves and together; settle what is in doubt, audit again, compare."""
    whole = json.loads((world.out / "summary.json").read_bytes())
    seen: dict[str, Audit] = {}
    for shop in SHOPS:
        rows = tuple(row for row in case.material.rows if owners[row.number] == shop)
        books = Books(world, shop, replace(case.material, rows=rows))
        seen[shop] = audit(books, books.material, case.expected(stopped=False))
    doubtful = [number for one in seen.values() for number in one.numbers(State.IN_DOUBT)]
    if len(doubtful) > sum(tally.doubts):
        raise BrokenPromiseError(f"{len(doubtful)} rows in doubt, {sum(tally.doubts)} were claimed by the killed")
    nobodys = {row.number for row in case.material.rows if owners[row.number] == _NOBODY}
    accepted = Counter(number for _, number in arrivals(world))
    if found := nobodys & set(accepted):
        raise BrokenPromiseError(f"rows of no account were accepted: {sorted(found)}")
    lines = _report(world, UNASSIGNED)
    if len(lines) != len(nobodys) or {line["state"] for line in lines} != {State.INVALID}:
        raise BrokenPromiseError(f"{len(nobodys)} rows of no account, but {len(lines)} are reported")
    if not whole["balanced"] or whole["rows"]["read"] != len(owners) or whole["rows"]["in_doubt"] != len(doubtful):
        raise BrokenPromiseError(f"the totals of all accounts do not add up: {whole['rows']}")
    tally.unanswered = len(doubtful)
    for shop in SHOPS:
        own = replace(case, out=f"out/{shop}")
        books = Books(world, shop, case.material)
        settle(books, own, seen[shop])
        world.importer("report", seen[shop].run, "-o", str(books.out)).expect(0)
    with World(world.home / "alone") as alone:
        alone.ledger, alone.account, alone.shops = alone.home / "ledger.db", NO_ACCOUNT, SHOPS
        alone.environment = {name: word for name, word in world.environment.items() if name.startswith("AWS_")}
        alone.patience = world.patience
        alone.change(Weather())  # for the address alone: a rehearsal is enough
        alone.importer(*case.run, "--sandbox").expect(0, 1)
        for shop in (*SHOPS, UNASSIGNED):
            _compare(world, alone, shop, case, set(doubtful))


def _compare(world: World, alone: World, shop: str, case: Errand, doubtful: set[int]) -> None:
    """An account's report, and that of one process on one machine."""
    numbers = {(row.source, str(row.row)): row.number for row in case.material.rows}
    for here, there in zip(_report(world, shop), _report(alone, shop), strict=True):
        number = numbers[here["source"], here["row"]]
        columns = _SAME if number in doubtful else _SAME + _SAME_IF_CERTAIN
        if other := [name for name in columns if here[name] != there[name]]:
            pairs = {name: (here[name], there[name]) for name in other}
            raise BrokenPromiseError(f"row {number} is reported otherwise than by one machine: {pairs}")


def _report(world: World, shop: str) -> list[dict[str, str]]:
    with (world.out / shop / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
