"""The report's templates, compiled: imported by the process from which the tests' importers are forked."""

from __future__ import annotations

from importer.report.page import _environment

for name in ("report.html", "accounts.html"):
    _environment().get_template(name)
