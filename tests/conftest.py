"""What all tests share: property tests are not timed, for machines are noisy and these rules are not about speed.

In CI (``CI`` is set) they try the same examples each time, so that a build can be repeated; elsewhere they go on
looking.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import object_store
from tests.support.object_store import ObjectStore
from tests.support.processes import Sandbox

if TYPE_CHECKING:
    from tests.support.postgres import Server

settings.register_profile("untimed", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("untimed"), derandomize=True, database=None)
settings.load_profile("repeatable" if "CI" in os.environ else "untimed")

_MEMORY = Path("/dev/shm")  # noqa: S108  # below it, pytest makes a directory of its own for each user


def _is_roomy(directory: Path) -> bool:
    """Whether a file system in memory is there that runs programs and has room for the largest tests."""
    if not directory.is_mount():
        return False
    found = os.statvfs(directory)
    return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize > 4 << 30


if _is_roomy(_MEMORY):
    # A ledger has every commit written to disk, for which thousands of tests would wait.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


WAITING = (
    "tests/torture/", "tests/unit/pipeline/test_cluster.py", "tests/browser/", "tests/unit/pipeline/test_accounts.py",
    "tests/unit/read/test_hostile.py", "tests/unit/watch/", "tests/docs/",
)  # fmt: skip
"""Tests that take seconds each, most of which they wait for other processes and for time to pass."""


def pytest_xdist_auto_num_workers() -> int:
    """Processes for ``-n auto``: more than there are cores, for the sake of the tests that wait."""
    return (os.cpu_count() or 2) * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first: the short ones fill the time that is left, and no process ends with a long one alone."""
    place = {prefix: number for number, prefix in enumerate(WAITING)}
    items.sort(key=lambda item: next((place[one] for one in WAITING if item.nodeid.startswith(one)), len(WAITING)))


gc.disable()  # while thousands of tests are collected, next to nothing is garbage


def pytest_collection_finish() -> None:
    """What was imported and collected stays; looking through it again and again took a seventh of the tests' time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def sandboxes_start_quickly() -> Iterator[None]:
    """A sandbox is forked from a process that has imported it; ``tests/unit/sandbox`` starts the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importer.sandbox.process.start_child", Sandbox)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; one for each process that runs tests, from the first test on that asks for it."""
    from tests.support.postgres import Server  # its imports are slow, and few tests need it

    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectStore]:
    """A real S3 server on loopback."""
    with object_store.s3() as server:
        yield server


@pytest.fixture(scope="session")
def google_server() -> Iterator[ObjectStore]:
    """An emulator of Google Cloud Storage."""
    with object_store.google() as server:
        yield server


@pytest.fixture(scope="session")
def azure_server() -> Iterator[ObjectStore]:
    """A server of Azure Blob Storage."""
    with object_store.azure() as server:
        yield server


@pytest.fixture(scope="session")
def data_lake_server() -> Iterator[ObjectStore]:
    """Azure Data Lake Storage Gen2: the same with a hierarchical namespace."""
    with object_store.azure(is_hierarchical=True) as server:
        yield server


@pytest.fixture
def store(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The S3 server, as the environment names it."""
    return _named(s3_server, monkeypatch)


@pytest.fixture(params=["s3", "google", "azure", "data_lake"])
def any_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Each kind of object store in turn, as the environment names it."""
    return _named(request.getfixturevalue(f"{request.param}_server"), monkeypatch)


@pytest.fixture
def every_store(
    s3_server: ObjectStore, google_server: ObjectStore, azure_server: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, as the environment names them."""
    for server in (s3_server, google_server, azure_server):
        _named(server, monkeypatch)


def _named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store
