"""A delivery's longer waits are handed to the ledger, each with its kind."""

from typing import cast

import pytest
from msgspec.structs import replace

from importer.deliver import Progress
from importer.ledger.ledger import Ledger
from importer.model import Pace, Pause, PauseKind, Run
from importer.pipeline.send import PauseRecorder
from tests.support.story import RUN

IDLE = Pace(rate=1.0, limit=60, remaining=0, waiting_for="", wait_until=None)


class Notes:
    """A ledger's memory of pauses."""

    def __init__(self) -> None:
        self.pauses: list[Pause] = []

    def note_pause(self, run: Run, pause: Pause) -> None:
        del run
        self.pauses.append(pause)


def progress(kind: PauseKind | None) -> Progress:
    pace = replace(IDLE, pause=kind)
    return Progress(sent=0, refused=0, failed=0, in_doubt=0, left=9, in_flight=0, pace=pace)


@pytest.mark.parametrize(
    ("seen", "noted"),
    [
        (((0, None), (10, PauseKind.OUTAGE), (50, PauseKind.OUTAGE), (70, None)), [Pause(PauseKind.OUTAGE, 10, 70)]),
        (((0, PauseKind.LIMIT), (4, None)), []),
        (
            ((0, PauseKind.LIMIT), (30, PauseKind.OUTAGE), (90, None)),
            [Pause(PauseKind.LIMIT, 0, 30), Pause(PauseKind.OUTAGE, 30, 90)],
        ),
        (((0, None), (5, PauseKind.HOURS), (3600, PauseKind.HOURS)), [Pause(PauseKind.HOURS, 5, 3600)]),
    ],
    ids=["an outage", "too short", "one after the other", "until the end"],
)
def test_waits_are_noted_as_they_end(seen: tuple[tuple[int, PauseKind | None], ...], noted: list[Pause]) -> None:
    notes, told, now = Notes(), list[Progress](), [0.0]
    pauses = PauseRecorder(cast("Ledger", notes), RUN, told.append, now=lambda: now[0])
    for moment, kind in seen:
        now[0] = moment
        pauses.watch(progress(kind))
    pauses.end()
    assert notes.pauses == noted
    assert len(told) == len(seen)


def test_a_run_that_goes_on_was_stopped_until_now() -> None:
    notes = Notes()
    run = replace(RUN, started_at=10.0, finished_at=100.0)
    PauseRecorder(cast("Ledger", notes), run, lambda _: None, now=lambda: 400.0).begin()
    PauseRecorder(cast("Ledger", notes), replace(run, started_at=None), lambda _: None, now=lambda: 400.0).begin()
    assert notes.pauses == [Pause(PauseKind.STOPPED, 100.0, 400.0)]
