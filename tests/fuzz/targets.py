"""One target for each parser of ours: whatever bytes it gets, it returns, or raises the error that users read.

A failure is kept as a file in ``cases/TARGET/`` and is tried in every run of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import click
import pyarrow as pa
from multidict import CIMultiDict

from importer.convert.datetimes import TimeForm, TimeReader
from importer.convert.identities import IdReader, PhoneReader, emails
from importer.convert.numbers import NumberForm, NumberReader
from importer.deliver.endpoint import Endpoint
from importer.deliver.responses import classify
from importer.errors import ImporterError, SourceError, UsageError
from importer.mapping.checks import ORDERS
from importer.mapping.load import loads
from importer.read import nested
from importer.sandbox.options import parse_duration, parse_faults
from importer.wording import brief, shell_quoted, shown
from tests.unit.read.helpers import SMALL, read_bytes

CASES = Path(__file__).parent / "cases"
_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Date")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _column(data: bytes) -> pa.Array:
    return pa.array(_text(data).split("\n"), pa.string())


def source(data: bytes) -> None:
    """Formats, encodings, dialects, headers, records, JSON lines, compression."""
    with suppress(SourceError):
        read = read_bytes(data, name="x")
        assert sum(chunk.count for chunk in read.chunks) == len(read.numbers) + len(read.unreadable)


def split_source(data: bytes) -> None:
    """The same, with blocks so small that records span them."""
    with suppress(SourceError):
        read_bytes(data, name="x.csv", limits=SMALL)


def mapping(data: bytes) -> None:
    """The mapping's YAML, its model and its rules."""
    with suppress(ImporterError):
        loads(_text(data), "m.yaml")


def headers(data: bytes) -> None:
    """What an answer says of the limit."""
    lines = data.decode("latin-1").split("\n")
    limits = classify(200, CIMultiDict(zip(_NAMES, lines, strict=False)), b"{}", latency=0.0, wall=1_790_000_000.0)
    assert limits.limit is None or limits.limit > 0
    for number in (limits.remaining, limits.reset_in, limits.retry_after):
        assert number is None or 0 <= number < 1e15


def answer(data: bytes) -> None:
    """What an answer makes of its row: the first byte is the status, the rest the body."""
    status = 200 + (data[0] if data else 0) * 2
    none: Mapping[str, str] = {}
    said = classify(status, none, data[1:], complete=True, latency=0.1, wall=0.0)
    classify(status, none, data[1:], latency=0.1, wall=0.0, probe=True)
    assert len(said.message) <= 400


def endpoint(data: bytes) -> None:
    """An address, and that its canonical form is its own canonical form."""
    with suppress(UsageError):
        found = Endpoint.parse(_text(data))
        assert Endpoint.parse(found.url) == found
        assert found.url.startswith("https://") or found.is_loopback


def numbers(data: bytes) -> None:
    """Numbers in several notations."""
    for form in (NumberForm(), NumberForm(",", "."), NumberForm(",.", None, is_decimal_named=True, scale=-2)):
        NumberReader(form)(_column(data))


def times(data: bytes) -> None:
    """Dates and times in several forms."""
    for formats in ((), *((order,) for order in ORDERS), ("%d.%m.%Y %H:%M",), ("s",)):
        TimeReader(TimeForm(formats))(_column(data))


def identities(data: bytes) -> None:
    """E-mail addresses, phones, ids."""
    emails(_column(data))
    PhoneReader()(_column(data))
    PhoneReader("LT")(_column(data))
    IdReader()(_column(data))


def path(data: bytes) -> None:
    """A dotted path into nested data."""
    nested.find({"a": [{"b": 1}], "": {}}, nested.parse(_text(data)))


def faults(data: bytes) -> None:
    """The sandbox's faults and lengths of time."""
    for parse in (parse_faults, parse_duration):
        with suppress(ImporterError, ValueError, click.ClickException):
            parse(_text(data))


def wording(data: bytes) -> None:
    """Foreign text on the screen."""
    text = data.decode("utf-8", "surrogateescape")
    for line in (shown(text), brief(text), shell_quoted(text)):
        assert line.isprintable()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        source, split_source, mapping, headers, answer, endpoint, numbers, times, identities, path, faults, wording
    )
}  # fmt: skip


def cases() -> Iterator[tuple[str, Path]]:
    """Inputs that once failed, and seeds, by target."""
    for file in sorted(CASES.glob("*/*")):
        yield file.parent.name, file
