"""Why a run sent nothing for a while is remembered, in old ledgers too."""

import sqlite3
from pathlib import Path

from importer.ledger.sqlite import SqliteLedger
from importer.model import Pause, PauseKind
from tests.support.ledgers import new_run

OUTAGE, LIMIT = Pause(PauseKind.OUTAGE, 20.0, 80.5), Pause(PauseKind.LIMIT, 10.0, 19.0)


def test_halts_are_told_in_their_order_each_run_its_own(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "l.db", account="a", endpoint="e") as ledger:
        one, two = new_run(ledger), new_run(ledger)
        ledger.note_halt(one, OUTAGE)
        ledger.note_halt(one, LIMIT)
        assert ledger.halts(one) == [LIMIT, OUTAGE]
        assert ledger.halts(two) == []


def test_a_ledger_from_before_there_were_halts_goes_on(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "l.db", account="a", endpoint="e") as ledger:
        run = new_run(ledger)
    with sqlite3.connect(tmp_path / "l.db") as old:
        old.execute("DROP TABLE halt")
    old.close()
    with SqliteLedger(tmp_path / "l.db", account="a", endpoint="e") as ledger:
        ledger.note_halt(run, OUTAGE)
        assert ledger.halts(run) == [OUTAGE]
