"""The grammar of `--fault`, and which fault comes next."""

from collections import Counter
from itertools import islice

import pytest

from importer.errors import UsageError
from importer.sandbox import Fault, Faults, parse_duration, parse_faults
from importer.sandbox.api import FaultQueue, by_chance


def test_the_specification_of_the_design_is_understood() -> None:
    faults = parse_faults("drop-after-accept=0.01,error=0.02, slow=0.05:2s,429=0.01,outage=30s@100,token-after=500")
    assert dict(faults.chances) == {
        Fault.DROP_AFTER_ACCEPT: 0.01,
        Fault.ERROR: 0.02,
        Fault.SLOW: 0.05,
        Fault.TOO_MANY: 0.01,
    }
    assert (faults.slow_for, faults.outage_for, faults.outage_at, faults.token_after) == (2.0, 30.0, 100, 500)


def test_nothing_asked_for_is_no_fault() -> None:
    assert parse_faults("") == Faults()


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_can_be_asked_for(fault: Fault) -> None:
    spec = f"{fault}=0.5" + (":2s" if fault is Fault.SLOW else "")
    assert parse_faults(spec).chances == ((fault, 0.5),)


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("eror=0.1", '--fault: "eror" is not a fault', "did you mean error=CHANCE? known faults: drop-before=CHANCE, "),
        ("zzz", '--fault: "zzz" is not a fault', "known faults: drop-before=CHANCE, "),
        ("error=2", '--fault: "2" does not fit error', "write error=CHANCE; a CHANCE is 0 to 1, "),
        ("error", '--fault: "" does not fit error', "write error=CHANCE; "),
        ("error=nan", '--fault: "nan" does not fit error', "write error=CHANCE; "),
        ("slow=0.1", '--fault: "0.1" does not fit slow', "write slow=CHANCE:DURATION; "),
        ("slow=0.1:2", '--fault: "2" does not fit slow', "write slow=CHANCE:DURATION; "),
        ("outage=30s", '--fault: "30s" does not fit outage', "write outage=DURATION@REQUESTS; "),
        ("outage=30s@-1", '--fault: "-1" does not fit outage', "write outage=DURATION@REQUESTS; "),
        ("token-after=x", '--fault: "x" does not fit token-after', "write token-after=REQUESTS; "),
        ("error=0.1,error=0.2", '--fault: "error" is given twice', "name each fault once"),
        ("error=0.6,hang=0.6", "--fault: the chances add up to more than 1", "at most one fault happens to an event; "),
    ],
)
def test_a_bad_specification_says_what_is_wrong_and_what_to_write(spec: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_faults(spec)
    assert caught.value.message == message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("2s", 2.0), ("1.5m", 90.0), ("1h", 3600.0)])
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "2 s", "2d"])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


def test_the_same_seed_throws_the_same_faults() -> None:
    faults = parse_faults("error=0.2,hang=0.1,stray=0.3")
    first, again, other = (list(islice(by_chance(faults, seed), 1_000)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_faults_come_as_often_as_asked() -> None:
    seen = Counter(islice(by_chance(parse_faults("error=0.2,hang=0.1"), seed=1), 20_000))
    assert seen[Fault.ERROR] == pytest.approx(4_000, rel=0.05)
    assert seen[Fault.HANG] == pytest.approx(2_000, rel=0.05)


def test_a_chance_of_one_hits_every_event() -> None:
    assert set(islice(by_chance(parse_faults("lie=1"), seed=0), 1_000)) == {Fault.LIE}


def test_ordered_faults_come_in_turn() -> None:
    queue = FaultQueue()
    assert queue.add(Fault.ERROR, 2)
    assert queue.add(Fault.HTML, 1)
    assert [queue.next() for _ in range(4)] == [Fault.ERROR, Fault.ERROR, Fault.HTML, None]
    assert not queue.add(Fault.SLOW, 1)
    assert not queue.add(Fault.ERROR, 10_001)
