"""A function of the user's that ends the process must not pass for an import that is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.program import importer

MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys\ndef clean(df):\n    sys.exit(0)\n", "clean.py:clean failed on rows 1 to 1 of "),
        ("import sys\ndef clean(df):\n    return df\nsys.exit()\n", "clean.py cannot be loaded: SystemExit: "),
    ],
    ids=["in the function", "while the file is loaded"],
)
def test_exit_is_a_failure_like_any_other(tmp_path: Path, code: str, words: str) -> None:
    (tmp_path / "orders.csv").write_text("email\na@example.com\n")
    (tmp_path / "orders.yaml").write_text(MAPPING)
    (tmp_path / "clean.py").write_text(code)
    outcome = importer(
        "check",
        str(tmp_path / "orders.csv"),
        "-m",
        str(tmp_path / "orders.yaml"),
        "--transform",
        f"{tmp_path / 'clean.py'}:clean",
    )
    assert outcome.exit_code == 2
    assert words in outcome.stderr
