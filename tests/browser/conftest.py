"""The pages in a real browser. Without a Chromium they are not collected, which is said; in CI they always are."""

import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_MISSING = not (CHROMIUM and DRIVER) and os.environ.get("CI") != "true"
collect_ignore_glob = ["test_*.py"] if _MISSING else []

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--disable-dev-shm-usage", "--disable-extensions", "--disable-default-apps",
    "--disable-component-extensions-with-background-pages", "--no-default-browser-check", "--disable-breakpad",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
)  # fmt: skip

DESKTOP, PHONE = 1280, 390


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _MISSING:
        terminalreporter.write_line(
            "tests/browser was left out: no chromium and chromedriver here (apt-get install chromium chromium-driver)",
            yellow=True,
        )


def chromium(profile: Path) -> webdriver.Chrome:
    """Debian's Chromium, started; its profile lies in this directory."""
    assert CHROMIUM, "apt-get install chromium chromium-driver"
    assert DRIVER, "apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, with an empty profile."""
    driver = chromium(tmp_path_factory.mktemp("profile"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(started: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """That browser. It leaves the page in the end, for it works on one for as long as it shows it."""
    yield started
    started.get("about:blank")


@pytest.fixture
def flaws(browser: webdriver.Chrome) -> Callable[[], list[str]]:
    """What axe-core finds wrong with the page, for people who see, hear or point less well."""
    found = sorted((Path(sys.prefix) / "axe").glob("*.whl"))
    if not found and os.environ.get("CI") != "true":
        pytest.skip("axe-core is not here: `make .venv/installed` fetches it")
    with zipfile.ZipFile(found[-1]) as wheel:
        axe = wheel.read("axe_playwright_python/axe.min.js").decode()
    run = """const done = arguments[arguments.length - 1];
      axe.run(document, {resultTypes: ["violations"]}).then((all) => done(all.violations.flatMap(
        (one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))))"""

    browser.set_script_timeout(120)

    def look() -> list[str]:
        browser.execute_script(axe)
        return list(browser.execute_async_script(run))

    return look


Resize = Callable[..., None]


@pytest.fixture
def resize(browser: webdriver.Chrome) -> Resize:
    """Make the window so wide, as a phone's if it is narrow, in light or dark."""

    def change(width: int, *, dark: bool = False) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    return change


@pytest.fixture
def complaints(browser: webdriver.Chrome) -> Callable[[], list[str]]:
    """What the browser's console has to say since the last time: broken policies, errors of scripts."""

    def said() -> list[str]:
        entries = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has no types for it
        return [entry["message"] for entry in entries]

    said()  # what an earlier test has left
    return said


@pytest.fixture
def overflow(browser: webdriver.Chrome) -> Callable[[], int]:
    """By how many pixels the page is wider than the window."""
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return lambda: int(browser.execute_script(script))


@pytest.fixture
def shots() -> Path | None:
    """Where to leave screenshots for people: ``IMPORTER_SHOTS``, or nowhere."""
    place = os.environ.get("IMPORTER_SHOTS")
    return Path(place) if place else None
