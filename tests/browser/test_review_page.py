"""The review's page in a real browser, by keyboard alone: cells are corrected, rows settled, given up and sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from importer.model import State
from importer.review.page import serve
from importer.review.session import Review
from importer.sandbox import Running, SandboxOptions, start
from tests.browser.conftest import DESKTOP, PHONE, Resize
from tests.browser.test_sandbox_page import at, eventually
from tests.support.reviews import Import

ROWS = [*(f'{n},bo@,{n}0,"<b>{n}</b>"' for n in range(1, 25)), "30,cy@example.com,many,C", "31,x@,1,D"]
DOUBTS = ["40,di@example.com,40,E", "41,eve@example.com,41,F"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with start(SandboxOptions()) as running:
        yield running


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Running) -> Iterator[Review]:
    """Of 28 rows of a live run 24 have one wrong address, two other flaws, and two are in doubt."""
    monkeypatch.chdir(tmp_path)
    imported = Import(tmp_path, sandbox=sandbox)
    imported.run(imported.csv(*ROWS, *DOUBTS), [State.IN_DOUBT, State.IN_DOUBT])
    with closing((review := imported.review()).desk):
        yield review


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def tab_to(browser: Chrome, holds: str, most: int = 60) -> None:
    """Press the tabulator until the element in focus says so, or is labelled so."""
    for _ in range(most):
        press(browser, Keys.TAB)
        script = (
            "const e = document.activeElement; return e.labels?.[0]?.innerText ?? (e.tabIndex < 0 ? '' : e.innerText)"
        )
        if holds in browser.execute_script(script):
            return
    pytest.fail(f"nothing that can be reached by the keyboard says {holds!r}")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_rows_are_corrected_and_sent_by_keyboard_alone(  # noqa: PLR0915 - one way through the page
    browser: Chrome, resize: Resize, overflow: Callable[[], int], complaints: Callable[[], list[str]], review: Review,
    width: int, shots: Path | None,
) -> None:  # fmt: skip
    """From 28 rows that were not delivered to none, without a mouse."""
    addresses: Queue[str] = Queue()
    page = threading.Thread(target=lambda: serve(review, port=0, idle=60, opened=addresses.put))
    page.start()
    resize(width, dark=width == PHONE)
    browser.get(addresses.get(timeout=10))
    assert overflow() == 0
    tab_to(browser, "Email")
    press(browser, Keys.END, "example")
    eventually(browser, lambda _: "bo@example is not an e-mail address" in at(browser, "v1").text)
    press(browser, ".com")
    eventually(browser, lambda _: "Can be sent" in at(browser, "v1").text)
    if shots:
        browser.save_screenshot(str(shots / f"review-{width}.png"))
    tab_to(browser, "The same for 23 like this")
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: "23 rows more changed" in at(browser, "said").text)
    # What is left: an amount, and a row that nobody wants.
    eventually(browser, lambda _: "2 rows." in at(browser, "list").text)
    tab_to(browser, "Total")
    press(browser, Keys.END, Keys.BACKSPACE * 4, "300")
    eventually(browser, lambda _: "Can be sent" in at(browser, "v25").text)
    press(browser, Keys.ENTER)
    assert browser.execute_script("return document.activeElement.value") == "x@", "Enter leads to the next bad cell"
    tab_to(browser, "Give up")
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: at(browser, "note").is_displayed())
    press(browser, "a test", Keys.ENTER)
    eventually(browser, lambda _: "given up" in at(browser, "said").text)
    # The rows in doubt: all of them arrived.
    browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    tab_to(browser, "In doubt")
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: "Rows in doubt" in at(browser, "list-h").text)
    assert "40.00 EUR" in at(browser, "list").text
    assert overflow() == 0
    if shots:
        browser.save_screenshot(str(shots / f"review-doubt-{width}.png"))
    tab_to(browser, "arrived")
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: "2 rows: arrived" in at(browser, "said").text)
    # Finish: what will be done, then the question of a live run.
    browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    tab_to(browser, "Finish")
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: "25 corrected rows sent to Sender" in at(browser, "dialog").text)
    press(browser, Keys.ENTER)
    eventually(browser, lambda _: "About to send to http" in at(browser, "work").text)
    assert "25 of 25 rows" in at(browser, "work").text
    if shots:
        browser.save_screenshot(str(shots / f"review-question-{width}.png"))
    assert browser.execute_script("return document.activeElement.id") == "no"
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).send_keys(Keys.ENTER).perform()
    eventually(browser, lambda _: "Every row is delivered" in at(browser, "work").text)
    assert "of 28 rows 27 sent, 1 filtered" in at(browser, "work").text
    assert overflow() == 0
    assert complaints() == []
    page.join(10)
    assert not page.is_alive(), "it closes by itself when all is done"
    assert review.is_done
