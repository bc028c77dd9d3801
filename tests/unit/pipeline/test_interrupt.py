"""Ctrl-C while the user is asked something."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from importer.cli.console import ConsoleOptions, TerminalConsole
from importer.pipeline.interrupt import answerable


def test_ctrl_c_ends_a_question_at_once_although_an_event_loop_runs() -> None:
    """The handler of asyncio would cancel a task, and leave the question waiting for Enter."""

    async def ask() -> Any:
        usual = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), answerable():
            signal.raise_signal(signal.SIGINT)
        return usual is signal.getsignal(signal.SIGINT)

    assert asyncio.run(ask()), "afterwards it is asyncio's again"


def test_ctrl_c_stays_ignored_where_the_caller_ignores_it() -> None:
    """As in a background job of a shell script."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with answerable():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)


def test_ctrl_c_at_the_question_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the report is written, and the run can be resumed."""
    asked: list[str] = []

    def interrupted(question: str) -> str:
        asked.append(question)
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert not TerminalConsole(ConsoleOptions(yes=False)).confirm_more(3)
    assert asked
