"""The list of reason codes: complete, worded, documented, and each of them seen in a test."""

import ast
import csv
import functools
import re
from pathlib import Path

import pytest

from importer.reasons import LIFTED_BY_STRICT, REASONS, is_error
from tests.docs.reasons_page import page

ROOT = Path(__file__).parents[3]
FIRST_WORDS = {code.split(".")[0] for code in REASONS}
TARGETS = {"subscriber.id", "subscriber.email", "subscriber.phone"}
"""Fields that look like codes."""
WHILE_SENDING = {"api", "duplicate", "doubt", "failed"}


@functools.cache
def codes_in(folder: Path) -> dict[str, str]:
    """Every string in the Python files below that has a code's form, with one place where it stands."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        if path.parent == Path(__file__).parent:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and looks_like_a_code(node.value):
                found.setdefault(node.value, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def looks_like_a_code(text: str) -> bool:
    return (
        re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", text) is not None
        and text.split(".", maxsplit=1)[0] in FIRST_WORDS
        and text not in TARGETS
        and not text.startswith("properties.")
    ) or text == "properties.too_large"


@functools.cache
def codes_of_cases() -> set[str]:
    found: set[str] = set()
    for report in sorted((ROOT / "tests" / "cases").glob("*/expected-report.csv")):
        with report.open(newline="", encoding="utf-8") as file:
            found |= {row["code"] for row in csv.DictReader(file)}
    return found


def test_the_documentation_is_current() -> None:
    assert page() == (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8"), (
        "run: python -m tests.docs.reasons_page > docs/reasons.md"
    )
    for code in REASONS:
        assert f"| `{code}` |" in page()


def test_every_code_used_in_the_product_is_in_the_list() -> None:
    unknown = {code: place for code, place in codes_in(ROOT / "importer").items() if code not in REASONS}
    assert unknown == {}


@pytest.mark.parametrize("code", [code for code in REASONS if code.split(".")[0] not in WHILE_SENDING])
def test_every_code_that_planning_can_give_is_expected_by_a_test(code: str) -> None:
    """In a case's report, or by name in a test."""
    assert code in codes_of_cases() | codes_in(ROOT / "tests").keys()


@pytest.mark.parametrize("code", REASONS)
def test_a_reason_says_what_is_wrong_what_to_do_and_where_the_rule_comes_from(code: str) -> None:
    reason = REASONS[code]
    message, fix = (text.format(field="properties.note", value="12,5") for text in (reason.message, reason.fix))
    assert message
    assert fix
    assert reason.source
    assert "{{" not in message + fix
    assert ("12,5" in message) == ("{value}" in reason.message)


@pytest.mark.parametrize("code", REASONS)
@pytest.mark.parametrize("strict", [False, True])
def test_an_error_keeps_a_row_from_being_sent_and_strict_lifts_some_warnings(code: str, *, strict: bool) -> None:
    expected = REASONS[code].severity == "error" or (strict and code == "currency.retired")
    assert is_error(code, strict=strict) == expected
    assert code not in LIFTED_BY_STRICT or REASONS[code].severity == "warning"


def test_an_unknown_code_is_a_mistake_of_the_product() -> None:
    with pytest.raises(KeyError, match="no\\.such"):
        is_error("no.such", strict=False)
