"""A mapping's `tests`, run through the real stages: read, convert, validate, encode.

An example's rows become a file, and its events and reasons are compared with the expected ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from importer.errors import FailedTestsError, MappingProblem
from importer.mapping.load import LoadedMapping
from importer.mapping.model import Example, ExpectedReason, ImportMapping, SourceOptions
from importer.model import Reason
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_sources
from importer.reasons import REASONS

_ABSENT = object()
"""Instead of a value that is not there."""


def run_tests(loaded: LoadedMapping) -> int:
    """Run every example; returns how many there are.

    Raises:
        FailedTestsError: some do not come out as they say; each with its place and every difference.
    """
    failed = []
    examples = zip(loaded.mapping.tests, loaded.test_lines, strict=True)
    for number, (example, line) in enumerate(examples, start=1):
        differences = list(_differences(example, loaded.mapping))
        if differences:
            name = f"test {number}" + (f", {example.name!r}," if example.name else "")
            message = "".join([f"{name} fails", *(f"\n    {one}" for one in differences)])
            failed.append(MappingProblem(loaded.name, line, 1, message))
    if failed:
        raise FailedTestsError(tuple(failed), len(loaded.mapping.tests))
    return len(loaded.mapping.tests)


def _differences(example: Example, mapping: ImportMapping) -> Iterator[str]:
    """What came otherwise than expected, in words."""
    with tempfile.TemporaryDirectory(prefix="importer-") as folder:
        path, source = _write(example.rows, mapping.source, Path(folder))
        adapted = mapping.model_copy(update={"source": source})
        heard: list[str] = []
        bodies: list[bytes] = []
        reasons: list[Reason] = []
        for stream in prepare_sources([str(path)], adapted, ReadOptions(), heard.append):
            if stream.error:
                yield f"the rows cannot be read: {stream.error}".replace(f"{folder}/", "")
            for prepared in stream.chunks:
                bodies += prepared.rows["body"].drop_null().to_pylist()
                found = (Reason(**row) for row in prepared.reasons.to_pylist())
                reasons += [one for one in found if REASONS[one.code].severity != "info"]
    yield from _about_events(example, bodies)
    yield from _about_reasons(example, reasons)


def _write(rows: str | tuple[Any, ...], source: SourceOptions, folder: Path) -> tuple[Path, SourceOptions]:
    """The rows as a file, and how to read it: a text as the mapping's source says, other rows as JSON lines."""
    if isinstance(rows, str):
        kind = source.format if source.format == "jsonl" else "csv"
        plain = {"format": kind, "compression": "none", "encoding": "utf-8"}
        path = folder / f"rows.{kind}"
        path.write_text(rows, encoding="utf-8", newline="")
        return path, source.model_copy(update=plain)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path, SourceOptions(format="jsonl", encoding="utf-8")


def _about_events(example: Example, bodies: list[bytes]) -> Iterator[str]:
    expected = [event.model_dump(exclude_unset=True) for event in example.events or ()]
    came = [json.loads(body, parse_float=Decimal) for body in bodies]
    for number, (wanted, got) in enumerate(zip(expected, came, strict=False), start=1):
        for place, should, does in _unlike(wanted, got, ""):
            yield f"event {number}: {place}: expected {_shown(should)}, came {_shown(does)}"
    for number in range(len(came), len(expected)):
        yield f"event {number + 1}: expected {_shown(expected[number])}, none came"
    for number in range(len(expected), len(came)):
        yield f"event {number + 1}: none expected, came {bodies[number].decode()}"


def _about_reasons(example: Example, came: list[Reason]) -> Iterator[str]:
    expected = example.reasons or ()
    for number in range(max(len(expected), len(came))):
        wanted = expected[number] if number < len(expected) else None
        got = came[number] if number < len(came) else None
        if wanted is None or got is None or not _fits(wanted, got):
            should = "none expected" if wanted is None else f"expected {_told(wanted)}"
            does = "none came" if got is None else f"came {got.code} in row {got.row}, {got.field}: {got.value!r}"
            yield f"reason {number + 1}: {should}, {does}"


def _fits(wanted: ExpectedReason, got: Reason) -> bool:
    return wanted.code == got.code and wanted.row in {None, got.row} and wanted.field in {None, got.field}


def _told(wanted: ExpectedReason) -> str:
    row = f" in row {wanted.row}" if wanted.row else ""
    return f"{wanted.code}{row}" + (f", {wanted.field}" if wanted.field else "")


def _unlike(expected: Any, came: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ; the order of names in objects does not count, and numbers are compared by value."""
    if isinstance(expected, dict) and isinstance(came, dict):
        for name in dict.fromkeys([*expected, *came]):
            inner = f"{place}.{name}" if place else name
            yield from _unlike(expected.get(name, _ABSENT), came.get(name, _ABSENT), inner)
    elif not _same(expected, came):
        yield place, expected, came


def _same(expected: Any, came: Any) -> bool:
    numbers = (int, float, Decimal)
    flags = isinstance(expected, bool), isinstance(came, bool)
    if not any(flags) and isinstance(expected, numbers) and isinstance(came, numbers):
        return Decimal(repr(expected)) == Decimal(str(came))
    return flags[0] == flags[1] and type(expected) is type(came) and bool(expected == came)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
