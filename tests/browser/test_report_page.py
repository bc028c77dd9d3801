"""``report.html`` in a real browser: it fits, it says what it must, and nothing a customer wrote does anything."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from importer.model import RunSource, State
from importer.report import ReportOptions, write, write_check
from tests.browser.conftest import DESKTOP, PHONE, Resize
from tests.support.pages import INFO, SOURCE, story
from tests.support.story import RUN, Row, batch, csv_source, ledger

EVIL = '"><script>document.title="owned"</script><img src=x onerror="document.title=1">'
Count = Callable[[], int]
Complaints = Callable[[], list[str]]


def made(out: Path, rows: int) -> Path:
    write_check(story(rows), lambda: [RunSource(1, SOURCE, "", rows, "")], INFO, ReportOptions(out))
    return out / "report.html"


@pytest.mark.parametrize("rows", [0, 10, 5_000, 50_000])
def test_the_page_fits_any_run_on_any_screen(
    browser: Chrome, resize: Resize, overflow: Count, complaints: Complaints, tmp_path: Path, rows: int,
    shots: Path | None,
) -> None:  # fmt: skip
    page = made(tmp_path, rows)
    assert page.stat().st_size < 1_000_000
    browser.get(page.as_uri())
    for width in (DESKTOP, PHONE):
        resize(width, dark=width == PHONE)
        assert overflow() == 0
        if shots:
            browser.save_screenshot(str(shots / f"report-{rows}-{width}.png"))
    for one in browser.find_elements(By.TAG_NAME, "details"):
        one.find_element(By.TAG_NAME, "summary").click()
    assert overflow() == 0, "with everything opened, too"
    assert complaints() == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_the_sum_is_seen_to_add_up(browser: Chrome, resize: Resize, tmp_path: Path) -> None:
    resize(DESKTOP)
    browser.get(made(tmp_path, 5_000).as_uri())
    table = browser.find_element(By.CSS_SELECTOR, "#books table")
    counts = [int(cell.text.replace(",", "")) for cell in table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(3)")]
    assert sum(counts) == 5_000
    assert table.find_element(By.CSS_SELECTOR, "tfoot td:nth-child(3)").text == "5,000"
    assert "= 5,000: every row is accounted for" in browser.find_element(By.ID, "books").text
    assert "1 pause" in browser.find_element(By.ID, "delivery").text


def test_what_customers_wrote_is_shown_and_does_nothing(
    browser: Chrome, resize: Resize, overflow: Count, complaints: Complaints, tmp_path: Path
) -> None:
    resize(PHONE)
    source = csv_source(EVIL, name=f"\u202e{EVIL}.csv")
    told = {"subscriber": EVIL, "type": "\u202eevil" + "x" * 10_000, "code": "doubt.no_answer", "message": EVIL}
    rows = [
        Row(b"a", State.IN_DOUBT, told=told | {"value": "1e300", "currency": EVIL}),
        Row(b"b", State.INVALID, [("email.invalid", EVIL, EVIL * 100)]),
    ]
    run = replace(RUN, mapping_name=EVIL, mapping_text=f"# \u202e{EVIL}\n" * 100, stop_reason=EVIL, account=EVIL)
    write(ledger(batch(source, rows)), run, ReportOptions(tmp_path))
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.title == f"Run {RUN.id} – importer"
    assert browser.find_elements(By.CSS_SELECTOR, "script, img") == []
    assert EVIL in str(browser.find_element(By.ID, "in-doubt").get_property("textContent"))
    assert "\u202e" not in browser.page_source
    assert len(browser.page_source) < 100_000
    assert overflow() == 0
    assert complaints() == []


def test_the_page_is_real_markup(browser: Chrome, resize: Resize, tmp_path: Path) -> None:
    """Tables have captions and scopes, pictures titles and descriptions, what is copied a tab stop."""
    resize(DESKTOP)
    browser.get(made(tmp_path, 5_000).as_uri())
    script = """
        const all = (what) => [...document.querySelectorAll(what)];
        return {
          captions: all('table').every(t => t.caption && t.caption.textContent),
          scopes: all('th').every(h => h.scope),
          pictures: all('svg').every(s => s.querySelector(':scope > title').textContent &&
            s.querySelector(':scope > desc').textContent && s.getAttribute('role') === 'img'),
          sections: all('section').every(s => document.getElementById(s.getAttribute('aria-labelledby'))),
          ids: all('[id]').length === new Set(all('[id]').map(e => e.id)).size,
          links: all('a[href^="#"]').every(a => document.querySelector(a.getAttribute('href'))),
          pres: all('pre').every(p => p.tabIndex === 0),
          headings: all('h1').length === 1,
        }"""
    assert set(browser.execute_script(script).values()) == {True}
