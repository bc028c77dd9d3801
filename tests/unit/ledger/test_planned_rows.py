"""Rows as they are planned: whatever a key holds is kept, and the seal makes all of it durable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledgers import chunk, open_ledger, planned

KEYS = ["A1", "", '"quoted"', "back\\slash", "tab\tand\nline", "žalia 🎉", "7", "0012", "null", "\u2028", "\x7f", None]


@pytest.mark.parametrize("keys", [KEYS, [*KEYS, "nul\0within"]], ids=["sound", "one with U+0000"])
def test_keys_and_states_are_kept_as_they_are(tmp_path: Path, keys: list[str | None]) -> None:
    states = ["pending" if number % 3 else "invalid" for number in range(len(keys))]
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk([f"{n}@example.org" for n in range(len(keys))], keys=keys, states=states))
        (batch,) = ledger.batches(run)
    assert batch.table.column("key").to_pylist() == keys
    assert batch.table.column("state").to_pylist() == states


def test_only_what_must_last_waits_for_the_disk(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        database = ledger._db
        with database.transaction(private=True):
            assert database.value("PRAGMA synchronous") == 1
        with database.transaction():
            assert database.value("PRAGMA synchronous") == 2
