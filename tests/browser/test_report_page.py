"""``report.html`` in a real browser: it fits, it says what it must, and nothing a customer wrote does anything."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
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


@pytest.mark.parametrize("rows", [0, 10, 3_000, 200_000])
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
    table = browser.find_element(By.CSS_SELECTOR, "#rows table")
    counts = [int(cell.text.replace(",", "")) for cell in table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(3)")]
    assert sum(counts) == 5_000
    assert table.find_element(By.CSS_SELECTOR, "tfoot td:nth-child(3)").text == "5,000"
    assert "every row is accounted for" in table.text
    assert browser.title.startswith("orders-2026.csv → Sender: ")


def test_an_address_is_not_broken_where_there_is_room(
    browser: Chrome, resize: Resize, overflow: Count, tmp_path: Path, shots: Path | None
) -> None:
    """On a phone, too, an e-mail address of ordinary length stays on one line."""
    rows = [
        Row(b"", State.INVALID, [("email.invalid", "subscriber.email", "nobody@")],
            told={"subscriber": "christina.longname@example-company.com", "key": f"#10{at}"})
        for at in range(5)
    ]  # fmt: skip
    write(ledger(batch(csv_source("Email"), rows)), replace(RUN, endpoint="sandbox"), ReportOptions(tmp_path))
    browser.get((tmp_path / "report.html").as_uri())
    for width in (DESKTOP, PHONE):
        resize(width)
        heights = "return [...document.querySelectorAll('.address')].map(a => a.getClientRects().length)"
        assert set(browser.execute_script(heights)) == {1}
        assert overflow() == 0
        if shots:
            browser.save_screenshot(str(shots / f"rehearsal-{width}.png"))


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
    assert "→ Sender: 0 of 2 delivered" in browser.title
    assert browser.find_elements(By.CSS_SELECTOR, "script, img") == []
    assert EVIL in str(browser.find_element(By.ID, "in-doubt").get_property("textContent"))
    assert "\u202e" not in browser.page_source
    assert len(browser.page_source) < 100_000
    assert overflow() == 0
    assert complaints() == []


CONTRAST = """
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = (c) => { const [r, g, b] = c.map(v => linear(v / 255));
      return .2126 * r + .7152 * g + .0722 * b };
    const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
    const poor = [];
    for (const e of document.querySelectorAll('body *')) {
      const says = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
      if (!says || e.closest('svg, .rehearsal, .skip')) continue;
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
      if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) poor.push(e.textContent.slice(0, 40));
    }
    return poor"""
"""Texts whose contrast is under 4.5 to 1 (WCAG 2.2, 1.4.3)."""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(browser: Chrome, resize: Resize, tmp_path: Path, dark: bool) -> None:
    resize(DESKTOP, dark=dark)
    browser.get(made(tmp_path, 500).as_uri())
    for one in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", one)
    assert browser.execute_script(CONTRAST) == []


def test_the_page_is_real_markup(browser: Chrome, resize: Resize, tmp_path: Path) -> None:
    """Headings in order, tables with captions and scopes, pictures with titles, a tab stop on what is copied."""
    resize(DESKTOP)
    browser.get(made(tmp_path, 5_000).as_uri())
    script = """
        const all = (what) => [...document.querySelectorAll(what)];
        const levels = all('h1, h2, h3, h4').map(h => Number(h.tagName[1]));
        return {
          captions: all('table').every(t => t.caption && t.caption.textContent),
          scopes: all('th').every(h => h.scope),
          pictures: all('svg').every(s => s.querySelector(':scope > title').textContent &&
            s.querySelector(':scope > desc').textContent && s.getAttribute('role') === 'img'),
          sections: all('section').every(s => document.getElementById(s.getAttribute('aria-labelledby'))),
          ids: all('[id]').length === new Set(all('[id]').map(e => e.id)).size,
          links: all('a[href^="#"]').every(a => document.querySelector(a.getAttribute('href'))),
          pres: all('pre').every(p => p.tabIndex === 0),
          first: levels[0] === 1 && levels.filter(n => n === 1).length === 1,
          order: levels.every((n, at) => at === 0 || n <= levels[at - 1] + 1),
          landmarks: all('main').length === 1 && all('header').length === 1 && all('nav[aria-label]').length === 1,
          language: document.documentElement.lang === 'en',
          ticks: all('.chart .x').every(x => x.children.length === 3),
        }"""
    assert [name for name, holds in browser.execute_script(script).items() if not holds] == []


def test_on_paper_nothing_is_cut_and_the_folded_parts_are_left_out(
    browser: Chrome, resize: Resize, tmp_path: Path, shots: Path | None
) -> None:
    resize(DESKTOP)
    browser.get(made(tmp_path, 500).as_uri())
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "return [...document.querySelectorAll('nav, details:not([open])')].filter(e => e.offsetParent).length"
        assert browser.execute_script(shown) == 0
        if shots:
            browser.save_screenshot(str(shots / "print.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
