"""Mapping by example: `tests` run through the real stages, and what is told when one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.errors import FailedTestsError, MappingError
from importer.mapping.load import loads
from importer.pipeline.examples import run_tests
from tests.support.program import importer

HEAD = """\
version: 1
subscriber: {email: Email}
type: {const: purchase}
value: Total
properties: {order: Order, gift: {column: Gift, as: boolean}}
missing_columns: warn
tests:
"""
SOUND = """\
  - rows: [{Email: ada@example.com, Total: "12.50", Order: 7}]
    events: [{subscriber: {email: ada@example.com}, type: purchase, value: 12.5, properties: {order: "7"}}]
"""
ADA = "subscriber: {email: ada@example.com}, type: purchase"


def failures(tests: str) -> list[str]:
    """What the tests are told, line by line, without the frame."""
    with pytest.raises(FailedTestsError) as caught:
        run_tests(loads(HEAD + tests, "m.yaml"))
    return [line.strip() for problem in caught.value.problems for line in str(problem).splitlines()]


def mistakes(tests: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        loads(HEAD + tests, "m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_what_comes_out_as_said_is_counted() -> None:
    assert run_tests(loads(HEAD + SOUND * 3, "m.yaml")) == 3


def test_numbers_are_compared_by_value_and_texts_exactly() -> None:
    row = f"  - rows: [{{Email: ada@example.com, Total: 12.50, Order: '7.0'}}]\n    events: [{{{ADA},"
    assert run_tests(loads(f"{HEAD}{row} value: 12.500, properties: {{order: '7.0'}}}}]\n", "m.yaml")) == 1
    assert failures(f"{row} value: 12.51, properties: {{order: 7}}}}]\n") == [
        "m.yaml:8:1: test 1 fails",
        "event 1: value: expected 12.51, came 12.5",
        'event 1: properties.order: expected 7, came "7.0"',
    ]


def test_true_is_not_one() -> None:
    rows = f"  - rows: [{{Email: ada@example.com, Gift: 'yes'}}]\n    events: [{{{ADA},"
    assert failures(f"{rows} properties: {{gift: 1}}}}]\n")[1:] == ["event 1: properties.gift: expected 1, came true"]
    assert run_tests(loads(f"{HEAD}{rows} properties: {{gift: true}}}}]\n", "m.yaml")) == 1


def test_events_are_whole_and_none_is_too_many() -> None:
    rows = "[{Email: a@example.com, Order: A}, {Email: b@example.com}]"
    tests = f"  - name: two\n    rows: {rows}\n    events: [{{type: purchase}}]\n"
    assert failures(tests) == [
        "m.yaml:8:1: test 1, 'two', fails",
        'event 1: subscriber: expected nothing, came {"email":"a@example.com"}',
        'event 1: properties: expected nothing, came {"order":"A"}',
        'event 2: none expected, came {"subscriber":{"email":"b@example.com"},"type":"purchase"}',
    ]
    assert failures("  - rows: [{Email: a@}]\n    events: [{type: purchase}]\n")[1:] == [
        'event 1: expected {"type":"purchase"}, none came',
        "reason 1: none expected, came email.invalid in row 1, subscriber.email: 'a@'",
    ]


def test_reasons_are_compared_as_far_as_they_are_said() -> None:
    rows = f"  - rows: [{{Email: ada@example.com}}, {{Email: b@}}]\n    events: [{{{ADA}}}]\n"
    for said in ("email.invalid", "{code: email.invalid, row: 2}", "{code: email.invalid, field: subscriber.email}"):
        assert run_tests(loads(f"{HEAD}{rows}    reasons: [{said}]\n", "m.yaml")) == 1
    assert failures(f"{rows}    reasons: [{{code: email.invalid, row: 1}}, type.missing]\n")[1:] == [
        "reason 1: expected email.invalid in row 1, came email.invalid in row 2, subscriber.email: 'b@'",
        "reason 2: expected type.missing, none came",
    ]


def test_a_text_is_read_as_the_mapping_says() -> None:
    mapping = HEAD.replace("tests:", 'source: {delimiter: ";", encoding: cp1252, compression: gzip}\ntests:')
    tests = SOUND.replace(
        '[{Email: ada@example.com, Total: "12.50", Order: 7}]', '"Email;Total;Order\\nada@example.com;12.50;7\\n"'
    )
    assert run_tests(loads(mapping + tests, "m.yaml")) == 1


def test_rows_that_lack_a_needed_column_are_told_as_a_file_would_be() -> None:
    mapping = HEAD.replace("missing_columns: warn\n", "")
    with pytest.raises(
        FailedTestsError, match=r"rows\.csv: the mapping needs columns that the file lacks: 'Total' for value"
    ):
        run_tests(loads(mapping + '  - {rows: "Email\\nada@example.com\\n", events: []}\n', "m.yaml"))


def test_they_are_linted_like_the_rest() -> None:
    assert mistakes(
        "  - {rows: [{A: 1}]}\n  - {row: [], events: []}\n"
        "  - {rows: [{A: 1}], events: [{tpye: x}], reasons: [email.invald]}\n"
    ) == [
        (
            "m.yaml:8:5: an example of `tests` needs `events`, `reasons`, or both"
            "; write `events: []` if the rows make no event"
        ),
        'm.yaml:9:6: unknown key "row" in an example of `tests`; did you mean rows?',
        'm.yaml:10:32: unknown key "tpye" in an expected event; did you mean type?',
        'm.yaml:10:53: unknown reason code "email.invald"; did you mean email.invalid?',
    ]
    assert mistakes("  - {rows: [{A: 1}], reasons: [{row: 0}]}\n") == [
        "m.yaml:8:32: an expected reason needs `code`; such as `code: email.invalid`",
        "m.yaml:8:38: `row` must be the number of a row, from 1, not 0",
    ]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sound.yaml").write_text(HEAD + SOUND, encoding="utf-8")
    (tmp_path / "failing.yaml").write_text((HEAD + SOUND).replace("value: 12.5", "value: 13"), encoding="utf-8")
    (tmp_path / "plain.yaml").write_text(HEAD.replace("tests:\n", ""), encoding="utf-8")
    (tmp_path / "orders.csv").write_text("Email,Total,Order,Gift\nbo@example.com,7,8,\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("source", [(), ("orders.csv",), ("orders.csv", "--preview", "1"), ("no-such-file.csv",)])
def test_check_tells_what_fails_before_it_reads_a_file(files: Path, source: tuple[str, ...]) -> None:
    outcome = importer("check", *source, "-m", "failing.yaml")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr == (
        "error: 1 of 1 test of the mapping fails; no file was read\n"
        "  failing.yaml:8:1: test 1 fails\n"
        "    event 1: value: expected 13, came 12.5\n"
        "\n"
        "hint: correct the mapping, or the test if the test is wrong\n"
    )


def test_check_without_a_file_runs_the_tests_alone(files: Path) -> None:
    outcome = importer("check", "-m", "sound.yaml")
    assert (outcome.exit_code, outcome.stderr) == (0, "sound.yaml is a valid mapping; all its tests pass (1)\n")
    outcome = importer("check", "-m", "plain.yaml")
    assert (outcome.exit_code, outcome.stderr) == (0, "plain.yaml is a valid mapping; it has no tests\n")


def test_check_goes_on_to_the_file_when_all_pass(files: Path) -> None:
    outcome = importer("check", "orders.csv", "-m", "sound.yaml", "--preview", "1")
    assert outcome.exit_code == 0
    assert '"email":"bo@example.com"' in outcome.stdout
