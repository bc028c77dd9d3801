"""Why a run sent nothing for a while is remembered."""

from pathlib import Path

import pytest

from importer.model import Pause, PauseKind
from tests.support.ledgers import new_run, open_ledger

pytestmark = pytest.mark.usefixtures("each_database")

OUTAGE, LIMIT = Pause(PauseKind.OUTAGE, 20.0, 80.5), Pause(PauseKind.LIMIT, 10.0, 19.0)


def test_pauses_are_told_in_their_order_each_run_its_own(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        one, two = new_run(ledger), new_run(ledger)
        ledger.note_pause(one, OUTAGE)
        ledger.note_pause(one, LIMIT)
        assert ledger.pauses(one) == [LIMIT, OUTAGE]
        assert ledger.pauses(two) == []
