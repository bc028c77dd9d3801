"""The short version of ``make torture``: a few imports that are killed, hit by faults, or meet one another."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.torture.__main__ import KINDS
from tests.torture.scenario import Tally
from tests.torture.soak import soak
from tests.torture.storm import storm

SCENARIOS = ("kills-short-2", "faults-short-1", "pairs-short-1")


def one(base: Path, seed: str) -> Tally:
    kind = seed.partition("-")[0]
    scenario = partial(storm, kills=3) if kind == "kills" else KINDS[kind]
    try:
        return scenario(base / seed, random.Random(seed))
    except Exception as problem:
        problem.add_note(f"replay: python -m tests.torture --replay {seed}")
        raise


def test_killed_and_hit_by_faults_nothing_is_lost_or_sent_twice_or_out_of_order(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        tallies = list(threads.map(partial(one, tmp_path), SCENARIOS))
    assert sum(tally.kills for tally in tallies) >= 2


def test_days_of_imports_through_faults_leave_nothing_behind(tmp_path: Path) -> None:
    """The short version of ``python -m tests.torture --soak DAYS``."""
    assert soak(tmp_path, days=4, rows=12).startswith("4 days of 12 rows (sent ")
