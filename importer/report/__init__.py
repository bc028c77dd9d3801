"""Ledger → files: what became of every row, and what to do about those that were not delivered.

Reports are made from the ledger alone (`importer check` makes the same from checked chunks): the sources may be gone by
then, and nothing here sends anything.
"""

from importer.report.atomic import SUMMARY, keep_user_files, prepare
from importer.report.check import ASSUMED_RATE, Checked, Checking
from importer.report.model import CHECK, ReportOptions, Summary, Written, check_run, summary_bytes
from importer.report.rows import COLUMNS
from importer.report.terminal import render_reasons, render_summary
from importer.report.write import count_run, stream, write, write_check, write_file

__all__ = [
    "ASSUMED_RATE",
    "CHECK",
    "COLUMNS",
    "SUMMARY",
    "Checked",
    "Checking",
    "ReportOptions",
    "Summary",
    "Written",
    "check_run",
    "count_run",
    "keep_user_files",
    "prepare",
    "render_reasons",
    "render_summary",
    "stream",
    "summary_bytes",
    "write",
    "write_check",
    "write_file",
]
