"""`importer review` as a command: its address, its exit code, and what it refuses."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from importer.model import State
from tests.support.program import importer
from tests.support.reviews import Import


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    return Import(tmp_path)


@pytest.mark.parametrize(
    ("rows", "code"), [(["1,ada@example.com,1,A", "2,bo@,2,B"], 1), (["1,ada@example.com,1,A"], 0)]
)
def test_it_takes_the_newest_run_and_ends_with_1_while_something_is_left(
    imported: Import, rows: list[str], code: int
) -> None:
    """The page is not used: it closes at once, and leaves no file behind."""
    imported.run(imported.csv(*rows), [State.SENT])
    done = importer("review", "--idle", "0")
    assert re.search(r"^review    http://127\.0\.0\.1:\d+/\?secret=\S{32}\n", done.stderr)
    assert done.exit_code == code
    assert not (imported.directory / "out" / "review.db").exists()


def test_a_port_that_is_taken_is_refused_in_words(imported: Import) -> None:
    imported.run(imported.csv("1,ada@example.com,1,A"), [State.SENT])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = importer("review", "--idle", "0", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 2
    assert "error: --port: cannot listen on 127.0.0.1" in done.stderr


def test_without_any_run_it_says_so(imported: Import) -> None:
    done = importer("review", "--idle", "0")
    assert (done.exit_code, "there is no run here yet" in done.stderr) == (2, True)
