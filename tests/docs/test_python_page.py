"""The page on the library is run as it stands, block after block, in one notebook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from importer.model import PendingSummary
from importer.pipeline.console import Forecast

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_pages_code_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    cells = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell, str(PAGE), "exec"), names)  # noqa: S102 # the page's own code, as a reader pastes it
    assert len(cells) == 4
    assert (tmp_path / "rehearsal" / "report.csv").exists()


def test_the_function_that_confirms_reads_what_a_forecast_has() -> None:
    (path,) = re.findall(r"return forecast\.(\w+)\.(\w+)", PAGE.read_text(encoding="utf-8"))
    assert path[0] in Forecast.__struct_fields__
    assert path[1] in PendingSummary.__struct_fields__
