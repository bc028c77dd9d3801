"""The sandbox's page in a real browser: events are seen, found and opened, faults ordered, by keyboard too."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from importer.sandbox import SandboxOptions, start
from importer.sandbox.process import Running
from tests.browser.conftest import DESKTOP, PHONE, Resize

EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def sandbox() -> Iterator[Running]:
    with start(SandboxOptions(limit=600)) as running:
        yield running


def post(sandbox: Running, name: str, kind: str = "purchase") -> int:
    event: dict[str, Any] = {"subscriber": {"email": name}, "type": kind, "value": 9.5, "value_currency": "EUR"}
    headers = {"Authorization": f"Bearer {sandbox.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{sandbox.url}events", json.dumps(event).encode(), headers)  # noqa: S310 - http on loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def eventually(browser: Chrome, found: Callable[[Chrome], Any]) -> Any:
    """What is found at last; an element that a page has just replaced is looked for again."""
    return WebDriverWait(browser, 10, 0.05, (StaleElementReferenceException,)).until(found)


def rows(browser: Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('#rows tr')].map(r => r.innerText.replace(/\\s+/g, ' '))"
    return list(browser.execute_script(script))


def open_first(browser: Chrome) -> bool:
    browser.find_element(By.CSS_SELECTOR, "#rows button").send_keys(Keys.ENTER)
    return True


def at(browser: Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


def test_what_arrives_is_shown_live_newest_first(
    browser: Chrome, sandbox: Running, resize: Resize, overflow: Callable[[], int], complaints: Callable[[], list[str]],
    shots: Path | None,
) -> None:  # fmt: skip
    resize(DESKTOP)
    browser.get(sandbox.page)
    assert post(sandbox, "ada@example.com") == 200
    assert post(sandbox, EVIL) == 422
    eventually(browser, lambda _: len(rows(browser)) == 2)
    assert [EVIL in row for row in rows(browser)] == [True, False]
    assert "422" in rows(browser)[0]
    assert "accepted, 200" in rows(browser)[1]
    assert [at(browser, name).text for name in ("accepted", "refused", "left")] == ["1", "1", "598 of 600"]

    for number in range(20):
        post(sandbox, f"customer.{number}@example.com", "refund")
    eventually(browser, lambda _: len(rows(browser)) == 22)
    for width in (DESKTOP, PHONE):
        resize(width)
        assert overflow() == 0
        if shots:
            browser.save_screenshot(str(shots / f"sandbox-{width}.png"))
    assert complaints() == []
    assert browser.title == "Sandbox – importer"


def test_events_are_searched_and_opened_by_keyboard(browser: Chrome, sandbox: Running, resize: Resize) -> None:
    resize(DESKTOP)
    for number in range(5):
        post(sandbox, f"customer.{number}@example.com", "refund" if number % 2 else "purchase")
    browser.get(sandbox.page)
    eventually(browser, lambda _: len(rows(browser)) == 5)
    at(browser, "subscriber").send_keys("OMER.3")
    eventually(browser, lambda _: len(rows(browser)) == 1)
    at(browser, "subscriber").clear()
    at(browser, "subscriber").send_keys(Keys.BACKSPACE)
    at(browser, "type").send_keys("refund")
    eventually(
        browser, lambda _: [row.split("@")[0].split()[-1] for row in rows(browser)] == ["customer.3", "customer.1"]
    )
    eventually(browser, open_first)
    eventually(browser, lambda _: at(browser, "event").is_displayed())
    assert json.loads(at(browser, "json").text)["subscriber"] == {"email": "customer.3@example.com"}
    at(browser, "close").send_keys(Keys.ESCAPE)
    eventually(browser, lambda _: not at(browser, "event").is_displayed())


def test_a_fault_is_ordered_and_forgotten(browser: Chrome, sandbox: Running, resize: Resize) -> None:
    resize(PHONE)
    browser.get(sandbox.page)
    assert not at(browser, "count").is_displayed()
    at(browser, "faults-h").click()
    count = at(browser, "count")
    count.clear()
    count.send_keys("3", Keys.ENTER)
    eventually(browser, lambda _: at(browser, "said").text.startswith("Ordered for the next 3 events: answer 500"))
    assert [post(sandbox, "ada@example.com") for _ in range(2)] == [500, 500]
    eventually(browser, lambda _: at(browser, "waiting").text == "Still to come: 1 × error")
    assert "500; fault: error" in eventually(browser, rows)[0]
    at(browser, "clear").send_keys(Keys.ENTER)
    eventually(browser, lambda _: at(browser, "waiting").text == "Nothing is ordered.")
    assert post(sandbox, "ada@example.com") == 200


def test_an_outage_is_told_of_and_passes(browser: Chrome, sandbox: Running, resize: Resize) -> None:
    resize(DESKTOP)
    browser.get(sandbox.page)
    at(browser, "faults-h").click()
    seconds = at(browser, "seconds")
    seconds.clear()
    seconds.send_keys("2", Keys.ENTER)
    eventually(browser, lambda _: "does not answer" in at(browser, "trouble").text)
    with pytest.raises(urllib.error.URLError, match="refused"):
        post(sandbox, "ada@example.com")
    eventually(browser, lambda _: not at(browser, "trouble").is_displayed())
    assert post(sandbox, "ada@example.com") == 200
