"""Ledger → files: what became of every row, and what to do about those that were not delivered.

This package owns the outputs of a run (report, rejects, summary) and the summary on the screen. It knows the ledger's
interface and the model only: the sources may be gone by then, and nothing here sends anything.
"""

from importer.report.atomic import prepare
from importer.report.checked import Checked
from importer.report.checking import ASSUMED_RATE, Checking
from importer.report.model import CHECK, Facts, ReportOptions, Summary, Written, WrittenFile
from importer.report.summary import summary_bytes
from importer.report.table import COLUMNS
from importer.report.terminal import render_summary
from importer.report.write import count_check, stream, write, write_check, write_file

__all__ = [
    "ASSUMED_RATE",
    "CHECK",
    "COLUMNS",
    "Checked",
    "Checking",
    "Facts",
    "ReportOptions",
    "Summary",
    "Written",
    "WrittenFile",
    "count_check",
    "prepare",
    "render_summary",
    "stream",
    "summary_bytes",
    "write",
    "write_check",
    "write_file",
]
