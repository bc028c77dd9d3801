"""axe-core finds nothing on any of the pages: at desktop width in light, at phone width in dark."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest
from msgspec.structs import replace
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from importer.model import State
from importer.report import ReportOptions, write
from importer.review.page import serve
from importer.sandbox import SandboxOptions, start
from tests.browser.conftest import DESKTOP, PHONE, Resize
from tests.browser.test_report_page import made
from tests.browser.test_sandbox_page import at, eventually, post
from tests.support.program import importer
from tests.support.reviews import Import
from tests.support.story import RUN, Row, batch, csv_source, ledger

Flaws = Callable[[], list[str]]
SCREENS = ((DESKTOP, False), (PHONE, True))


def everywhere(resize: Resize, flaws: Flaws) -> list[str]:
    found = []
    for width, dark in SCREENS:
        resize(width, dark=dark)
        found += [f"{width}{' dark' if dark else ''}: {flaw}" for flaw in flaws()]
    return found


@pytest.mark.parametrize("rows", [0, 1_000])
def test_the_report_has_no_flaw(browser: Chrome, resize: Resize, flaws: Flaws, tmp_path: Path, rows: int) -> None:
    browser.get(made(tmp_path, rows).as_uri())
    for one in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", one)
    assert everywhere(resize, flaws) == []


def test_the_report_of_a_rehearsal_in_doubt_has_no_flaw(
    browser: Chrome, resize: Resize, flaws: Flaws, tmp_path: Path
) -> None:
    told = {"code": "doubt.no_answer", "key": "1", "subscriber": "ada@example.com"}
    rows = [Row(b"", State.IN_DOUBT, told=told), Row(b"", State.INVALID, [("email.invalid", "subscriber.email", "x@")])]
    write(ledger(batch(csv_source("Email"), rows)), replace(RUN, endpoint="sandbox"), ReportOptions(tmp_path))
    browser.get((tmp_path / "report.html").as_uri())
    assert everywhere(resize, flaws) == []


def test_the_page_of_a_check_has_no_flaw(browser: Chrome, resize: Resize, flaws: Flaws, tmp_path: Path) -> None:
    importer("check", "samples/purchases.csv", "-m", "samples/purchases.yaml", "--out", str(tmp_path))
    browser.get((tmp_path / "report.html").as_uri())
    assert everywhere(resize, flaws) == []


def test_the_sandboxs_page_has_no_flaw(browser: Chrome, resize: Resize, flaws: Flaws) -> None:
    with start(SandboxOptions()) as sandbox:
        post(sandbox, "ada@example.com")
        browser.get(sandbox.page)
        eventually(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, "#rows tr"))
        at(browser, "faults-h").click()
        assert everywhere(resize, flaws) == []
        browser.find_element(By.CSS_SELECTOR, "#rows button").click()
        eventually(browser, lambda _: at(browser, "event").is_displayed())
        assert everywhere(resize, flaws) == []


def test_the_reviews_page_has_no_flaw(
    browser: Chrome, resize: Resize, flaws: Flaws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list of rows to fix, its rows in doubt, and its dialogs."""
    monkeypatch.chdir(tmp_path)
    imported = Import(tmp_path)
    imported.run(imported.csv("1,bo@,1,A", "2,bo@,2,B", "3,cy@example.com,3,C"), [State.IN_DOUBT])
    addresses: Queue[str] = Queue()
    with closing((review := imported.review()).desk):
        page = threading.Thread(target=lambda: serve(review, port=0, idle=60, opened=addresses.put))
        page.start()
        browser.get(addresses.get(timeout=10))
        assert everywhere(resize, flaws) == []
        at(browser, "tab-doubt").click()
        eventually(browser, lambda _: "Rows in doubt" in at(browser, "list-h").text)
        assert everywhere(resize, flaws) == []
        browser.find_element(By.CSS_SELECTOR, "[data-all]").click()
        eventually(browser, lambda _: "1 row: arrived" in at(browser, "said").text)
        browser.execute_script("document.getElementById('plan').click()")
        eventually(browser, lambda _: at(browser, "dialog").is_displayed())
        assert everywhere(resize, flaws) == []
        browser.find_element(By.CSS_SELECTOR, "[data-dismiss]").click()
        at(browser, "end").click()
        page.join(10)


def test_the_page_of_several_accounts_has_no_flaw_and_fits(
    browser: Chrome, resize: Resize, flaws: Flaws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dozen of them, one with a long name; each leads to its own page."""
    monkeypatch.chdir(tmp_path)
    names = [f"shop-{number}" for number in range(11)] + ["a" * 64]
    Path("m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nvalue: total\n")
    Path("accounts.yaml").write_text(
        "version: 1\ncolumn: shop\naccounts:\n" + "".join(f"  {name}: {{token_env: TOKEN}}\n" for name in names)
    )
    Path("o.csv").write_text("shop,email,total\nnobody,x@y.z,1\n" + "".join(f"{name},a@b.c,1\n" for name in names))
    done = importer("check", "o.csv", "-m", "m.yaml", "--accounts", "accounts.yaml", "--out", "out")
    assert done.exit_code == 1, done.stderr
    browser.get((tmp_path / "out/report.html").as_uri())
    assert everywhere(resize, flaws) == []
    for width, dark in SCREENS:
        resize(width, dark=dark)
        assert not browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
    rows = browser.find_elements(By.CSS_SELECTOR, "#accounts tbody tr")
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == [*names, "(no account)"]
    browser.find_element(By.LINK_TEXT, "shop-7").click()
    assert browser.title == "o.csv: 1 of 1 row ready"
