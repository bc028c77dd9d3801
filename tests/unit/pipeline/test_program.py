"""The program between its stages: what it asks, what it goes on with, and what a no leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from importer.deliver import DeliveryOptions
from importer.model import State
from importer.pipeline import program
from importer.pipeline.check import check
from importer.pipeline.console import Console as BaseConsole
from importer.pipeline.console import Forecast, Result
from importer.pipeline.options import RunOptions, TargetOptions
from importer.sandbox import SandboxOptions, parse_faults

ROWS = 6
RESEND = DeliveryOptions(resend_doubtful=True)


@dataclass
class Console(BaseConsole):
    """A user who says yes, or does not."""

    agrees: bool = True
    said: list[str] = field(default_factory=list)
    asked: list[Forecast] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def confirm(self, forecast: Forecast) -> bool:
        self.asked.append(forecast)
        return self.agrees

    def confirm_more(self, sent: int) -> bool:
        return self.agrees


@dataclass
class Place:
    """A directory with a file, a mapping and a ledger."""

    home: Path

    def order(self, **changes: object) -> RunOptions:
        sources, out = (str(self.home / "o.csv"),), self.home / "out"
        return replace(RunOptions(sources=sources, mapping=str(self.home / "m.yaml"), out=out), **changes)

    def target(self, faults: str = "") -> TargetOptions:
        """A rehearsal's, whose sandbox misbehaves."""
        sandbox = SandboxOptions(faults=parse_faults(faults), events=str(self.home / "arrived.jsonl"))
        return TargetOptions(ledger=self.home / "ledger.db", sandbox=sandbox)

    def arrived(self) -> list[str]:
        lines = (self.home / "arrived.jsonl").read_text().splitlines()
        return [json.loads(line)["event"]["subscriber"]["id"] for line in lines]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "o.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(ROWS)))
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {id: id}\ntype: {const: purchase}\n")
    return Place(tmp_path)


def states(result: Result) -> dict[State, int]:
    return {state: count for state, count in result.written.counts.by_state.items() if count}


@pytest.mark.parametrize(("first", "most", "sent"), [(2, 3, 3), (4, 2, 2)])
def test_first_and_max_events_together_send_no_more_than_max_events(
    place: Place, first: int, most: int, sent: int
) -> None:
    result = program.run(place.order(first=first, delivery=DeliveryOptions(most=most)), place.target(), Console())
    assert len(place.arrived()) == sent == result.written.counts[State.SENT]
    assert result.ended.reason == f"{sent} events sent, as asked for"


def test_whoever_drops_again_does_not_go_on_with_the_run_that_sends_again(place: Place) -> None:
    program.run(place.order(), place.target(), Console())
    stopped = program.run(place.order(again=True, delivery=DeliveryOptions(most=1)), place.target(), Console())
    without = program.run(place.order(), place.target(), Console())
    assert without.run.id != stopped.run.id
    assert states(without) == {State.DUPLICATE: ROWS}
    assert len(place.arrived()) == ROWS + 1
    again = program.run(place.order(again=True), place.target(), Console())
    assert again.run.id == stopped.run.id, "with it, the run goes on, and nothing is sent a third time"
    assert len(place.arrived()) == 2 * ROWS


def test_a_no_to_resending_leaves_the_rows_in_doubt(place: Place) -> None:
    """They may have arrived: a later `importer resume` must not send them unasked."""
    begun = program.run(place.order(delivery=DeliveryOptions(most=3)), place.target("error=1"), Console())
    assert states(begun) == {State.IN_DOUBT: 3, State.PENDING: ROWS - 3}
    declined = program.resume(begun.run.id, place.order(delivery=RESEND), place.target(), Console(agrees=False))
    assert states(declined) == states(begun)
    resumed = program.resume(begun.run.id, place.order(), place.target(), Console())
    assert states(resumed) == {State.IN_DOUBT: 3, State.SENT: ROWS - 3}


def test_a_no_to_a_retry_leaves_the_rows_refused(place: Place) -> None:
    begun = program.run(place.order(delivery=DeliveryOptions(most=2)), place.target("lie=1"), Console())
    assert states(begun) == {State.REFUSED: 2, State.PENDING: ROWS - 2}
    console = Console(agrees=False)
    declined = program.retry(begun.run.id, place.order(), place.target(), console)
    assert f"2 refused or failed rows of run {begun.run.id} to be sent again" in console.said
    assert states(declined) == states(begun)


def test_a_run_goes_on_as_it_was_begun_unless_it_is_told_otherwise(place: Place) -> None:
    """``--on-doubt hold`` counts for the runs that were begun with ``--on-doubt resend``, too."""
    once = DeliveryOptions(resend_doubtful=True, most=1, max_attempts=1)
    begun = program.run(place.order(delivery=once), place.target("error=1"), Console())
    assert states(begun) == {State.FAILED: 1, State.PENDING: ROWS - 1}
    hold = DeliveryOptions(resend_doubtful=False, most=2)
    held = program.resume(begun.run.id, place.order(delivery=hold), place.target("error=1"), Console())
    assert states(held) == {State.FAILED: 1, State.IN_DOUBT: 2, State.PENDING: ROWS - 3}
    kept = program.resume(begun.run.id, place.order(), place.target(), Console())
    assert states(kept) == {State.FAILED: 1, State.SENT: ROWS - 1}


def test_a_check_and_the_question_of_a_run_count_subscribers_alike(place: Place) -> None:
    """By e-mail, else phone, else id, though the lanes know that the second row is the first one's person."""
    (place.home / "o.csv").write_text("id,email\n1,a@example.com\n1,\n2,A@example.com\n3,\n")
    (place.home / "m.yaml").write_text("version: 1\nsubscriber: {id: id, email: email}\ntype: {const: purchase}\n")
    user = Console(agrees=False)
    program.run(place.order(), place.target(), user)
    checked = check(place.order(), user).summary.check
    assert checked is not None
    assert (checked.foreseen.subscribers, user.asked[0].outlook.subscribers) == (3, 3)
    assert user.asked[0].outlook.most_for_one == 3
