"""A whole command with `--transform`: a function that ends the process, and one that has changed since."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


def test_the_function_gets_the_paths_that_the_mapping_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [{"email": "A@example.com"}]}), tmp_path / "orders.parquet")
    (tmp_path / "orders.yaml").write_text(MAPPING.replace("email: email", "email: user.email"))
    function = 'def clean(df):\n    df["user.email"] = df["user.email"].str.lower()\n    return df\n'
    (tmp_path / "clean.py").write_text(function)
    command = ["check", str(tmp_path / "orders.parquet"), "-m", str(tmp_path / "orders.yaml"), "--preview", "1"]
    outcome = importer(*command, "--transform", f"{tmp_path / 'clean.py'}:clean")
    assert outcome.stdout == '{"subscriber":{"email":"a@example.com"},"type":"purchase"}\n'


def test_a_changed_function_is_used_for_what_waits(tmp_path: Path) -> None:
    """Not the old plan goes on: what it still holds was made by the function of then."""
    (tmp_path / "orders.csv").write_text("email,note\na@example.com,x\nb@example.com,x\n")
    (tmp_path / "orders.yaml").write_text(MAPPING + "properties: {note: note}\n")
    function = tmp_path / "clean.py"
    command = ["run", str(tmp_path / "orders.csv"), "-m", str(tmp_path / "orders.yaml"), "--sandbox", "--yes"]
    command += ["--transform", f"{function}:clean", "--ledger", str(tmp_path / "l.db"), "--out", str(tmp_path / "out")]
    function.write_text('def clean(df):\n    df["note"] = "old"\n    return df\n')
    assert importer(*command, "--max-events", "1").exit_code == 3
    function.write_text('def clean(df):\n    df["note"] = None if len(df) > 9 else "new and longer"\n    return df\n')
    events = tmp_path / "events.jsonl"
    assert importer(*command, "--events", str(events)).exit_code == 0
    assert '"new and longer"' in events.read_text()
    assert '"old"' not in events.read_text()
