"""`importer init` on a terminal: it asks about what is unclear, shows the cells, and takes no answer that cannot be."""

import os
import pty
import sys
from pathlib import Path

import pytest

from importer.mapping.load import load

IMPORTER = Path(sys.executable).with_name("importer")


def talk(here: Path, *answers: str) -> str:
    """Run `importer init orders.csv` on a terminal of its own, answering each question; returns what it shows."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(here)
        os.execv(IMPORTER, [str(IMPORTER), "init", "orders.csv"])  # noqa: S606 # the product itself
    left, shown = list(answers), ""
    while True:
        try:
            said = os.read(terminal, 65_536)
        except OSError:  # Linux's way to say that the other side has gone
            break
        if not said:
            break
        shown += said.decode()
        if shown.endswith(": ") and shown.rpartition("\n")[2].startswith("Your choice"):
            assert left, shown
            os.write(terminal, f"{left.pop(0)}\n".encode())
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, shown
    assert not left, shown
    return shown.replace("\r\n", "\n")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child executes at once
def test_answers_take_the_place_of_guesses_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "Order ID,Email,Date,Total\n1,ada@example.com,03/04/2026 10:00,5\n2,bo@example.com,05/06/2026 11:00,6\n",
        encoding="utf-8",
    )
    shown = talk(tmp_path, "7", "2", "Nowhere/Land", "Europe/Vilnius", "order_paid", "Euros", "eur")
    assert shown.startswith("orders.csv: 2 rows, 4 columns, CSV, delimiter comma, utf-8\n")
    assert "Does the day (dmy) or the month (mdy) come first in `Date`?\n" in shown
    assert "`Date` has 03/04/2026 10:00, 05/06/2026 11:00\n" in shown
    assert "'7' is none of these; give a number from 1 to 2\n" in shown
    assert 'that cannot be: unknown time zone "Nowhere/Land"' in shown
    assert "'Euros' is neither a column nor a currency code such as EUR\n" in shown
    mapping = load(str(tmp_path / "orders.yaml")).mapping
    assert mapping.type.const == "order_paid"
    assert mapping.value_currency is not None
    assert mapping.value_currency.const == "EUR"
    at = mapping.properties["occurred_at"]
    assert (at.format, at.timezone) == ("mdy", "Europe/Vilnius")
    assert '"occurred_at":"2026-03-04T10:00:00+02:00"' in shown
    assert "OPEN" not in (tmp_path / "orders.yaml").read_text(encoding="utf-8").partition("version: 1")[2]
    assert shown.endswith("\nnext:\n  importer check orders.csv -m orders.yaml\n")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child executes at once
def test_an_empty_answer_leaves_a_question_open(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("Order ID,Email,Total\n1,ada@example.com,5\n2,bo@example.com,6\n")
    shown = talk(tmp_path, "", "")
    assert "next: answer what is open in orders.yaml, then\n" in shown
    assert "# OPEN: Which currency are the amounts in" in (tmp_path / "orders.yaml").read_text(encoding="utf-8")
