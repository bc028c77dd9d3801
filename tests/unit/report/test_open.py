"""`importer report RUN --open`: all outputs, the page's path on stdout, and a browser if there is one."""

import webbrowser
from pathlib import Path

import pytest

from tests.support.program import importer


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    Path("o.csv").write_text("Email\nada@example.com\n")
    Path("m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\n")
    done = importer("run", "o.csv", "-m", "m.yaml", "--sandbox", "--yes", "--out", "out", "--report-format", "jsonl")
    assert done.exit_code == 0, done.stderr
    assert "the sandbox shows what arrives at http://127.0.0.1:" in done.stderr
    return importer("runs", "--sandbox").stdout.split()[0]


def test_the_page_is_written_and_opened(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def show(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    Path("out/report.html").unlink()
    shown = importer("report", run, "--sandbox", "--open")
    assert (shown.exit_code, shown.stdout) == (0, "out/report.html\n")
    assert opened == [Path("out/report.html").resolve().as_uri()]
    assert f"importer resolve {run}" not in Path("out/report.html").read_text(encoding="utf-8")
    assert Path("out/report.jsonl").exists(), "in the format that the run has"


@pytest.mark.parametrize("trouble", [None, webbrowser.Error("none")])
def test_without_a_browser_the_path_is_enough(
    run: str, monkeypatch: pytest.MonkeyPatch, trouble: Exception | None
) -> None:
    def fail(url: str) -> bool:
        if trouble:
            raise trouble
        return False

    monkeypatch.setattr(webbrowser, "open", fail)
    shown = importer("report", run, "--sandbox", "--open", "-o", "elsewhere.2026")
    assert (shown.exit_code, shown.stdout) == (2, ""), "a name with an ending is a file's"
    shown = importer("report", run, "--sandbox", "--open", "-o", "elsewhere")
    assert (shown.exit_code, shown.stdout) == (0, "elsewhere/report.html\n")
    assert "no browser was found here; open the file above in yours" in shown.stderr
