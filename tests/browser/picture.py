"""docs/report.webp, the README's picture of a report: ``python -m tests.browser.picture``, in a minute.

A sample is run into a sandbox that goes away for some seconds; Debian's Chromium then takes the picture of the real
report. Of its parts only those are kept that say most at a glance.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser.conftest import chromium

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "report.webp"
WIDTH = 1000
PARTS = ("rows", "money", "timeline")
_KEEP = """
for (const part of document.querySelectorAll('main > section')) part.hidden = !arguments[0].includes(part.id);
document.querySelector('footer').hidden = true;
return document.documentElement.getBoundingClientRect().height;
"""


def run_the_sample(out: Path) -> Path:
    """The report of a rehearsal with an outage in it."""
    faults = (
        "--sandbox-limit",
        "6000",
        "--sandbox-fault",
        "outage=8s@900,drop-after-accept=0.02",
        "--sandbox-seed",
        "1",
    )
    sample = ("samples/purchases.csv", "-m", "samples/purchases.yaml")
    subprocess.run(
        (sys.executable, "-m", "importer", "run", *sample, "--sandbox", "--yes", "--out", out, *faults,
         "--ledger", out.parent / "ledger.db"),
        cwd=ROOT,
        check=False,  # the sample's flaws make it 1
    )  # fmt: skip
    return out / "report.html"


def take(page: Path, profile: Path) -> bytes:
    """The page as a picture."""
    with chromium(profile) as browser:
        screen = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(page.as_uri())
        height = browser.execute_script(_KEEP, list(PARTS))
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        shot = {"format": "webp", "quality": 85, "captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        PICTURE.write_bytes(take(run_the_sample(place / "out"), place / "profile"))
