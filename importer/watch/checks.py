"""Whether a file may be sent, found out before anything of it is sent.

A night whose file breaks off, lacks a column, has only rows that ``where`` leaves out, too few rows or too many invalid
ones is for a person to look at; it is no success.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from importer.errors import SourceError, UsageError
from importer.mapping.load import load
from importer.model import State
from importer.read import expand, open_source
from importer.report import Written
from importer.watch.drops import FileRule
from importer.watch.outcome import WatchOptions, broken_sources
from importer.wording import counted, shown


def refusal(found: Sequence[Written], options: WatchOptions) -> str:
    """Why a file must not be sent, by what a check found of it, for each account; empty if it may."""
    read = sum(one.counts.read for one in found)
    invalid, filtered = (sum(one.counts[state] for one in found) for state in (State.INVALID, State.FILTERED))
    reasons = [reason for one in found for reason in one.summary.reasons]
    if broken := broken_sources(found):
        return broken
    if read < options.min_rows:
        return f"it has {counted(read, 'row')}, fewer than --min-rows {options.min_rows:,} asks for"
    if read and filtered == read:
        tests = [f"{one.field} ({counted(one.count, 'row')}, such as {one.example.value!r})" for one in reasons
                 if one.code.startswith("filtered.")]  # fmt: skip
        return "the mapping's filter leaves out every row" + (": " + "; ".join(tests) if tests else "")
    if options.allows(invalid, read):
        return ""
    codes = Counter[str]()
    for one in reasons:
        codes[one.code] += one.count if one.severity == "error" else 0
    return (
        f"{invalid:,} of {counted(read, 'row')} are invalid, more than --max-invalid {options.max_invalid} allows: "
        + ", ".join(f"{count:,} {code}" for code, count in codes.items() if count)
    )


class KnownColumns:
    """The columns of the last file of each kind, remembered in a small file of the watched directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "columns.json"

    def changes(self, rule: FileRule, found: list[str]) -> str:
        """What differs from the last file of this kind, in words; empty if nothing does."""
        known = self._known().get(_kind(rule))
        if not (known and found) or known == found:
            return ""
        lists = {"added": _without(found, known), "gone": _without(known, found)}
        return "; ".join(f"{verb}: {names}" for verb, names in lists.items() if names) or "their order has changed"

    def remember(self, rule: FileRule, found: list[str]) -> None:
        """These are the columns now; without room on the disk nothing is remembered."""
        known = self._known()
        if found and known.get(_kind(rule)) != found:
            part = self._path.with_suffix(".part")
            with suppress(OSError):
                part.write_bytes(msgspec.json.encode({**known, _kind(rule): found}))
                part.replace(self._path)

    def _known(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError):
            return {}


def columns_of(source: str, rule: FileRule) -> list[str]:
    """The columns of a file, of an archive's first member; empty if it has no header or cannot be read."""
    mapping = load(rule.mapping).mapping
    with suppress(SourceError, UsageError):
        for each in expand([source]):
            with open_source(each, mapping.source, columns=mapping.columns(), each=mapping.each) as reader:
                return list(reader.source.columns or ())
    return []


def _kind(rule: FileRule) -> str:
    return f"{rule.pattern} {rule.mapping}"


def _without(names: list[str], others: list[str]) -> str:
    return ", ".join(f"'{shown(name)}'" for name in names if name not in others)
