"""A batch of rows with what is to be said of each: code, field and message.

This module owns how a row's several reasons and its delivery become one line: joined with ``; ``, so that the n-th
code, field and message belong together. What a table of a report looks like is ``table``'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Reason, RowBatch, State
from importer.reasons import REASONS
from importer.report.wording import delivery_message, message_of, shown

SEPARATOR = "; "
_KEY_MARK = "\ufffc"
"""Stands for a row's key while a template is filled for all rows at once."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A batch, and three ``string`` arrays as long as its table; null where there is nothing to say."""

    batch: RowBatch
    codes: ArrowArray
    fields: ArrowArray
    messages: ArrowArray


def explain(batch: RowBatch) -> Explained:
    """Say of each row why it stands where it stands."""
    codes = column(batch, "code")
    messages = _grouped(batch, _delivery_messages(batch, codes))
    fields = pa.nulls(len(codes), pa.string())
    if batch.reasons:
        codes, fields, messages = _with_reasons(batch, codes, messages)
    return Explained(batch, codes, fields, messages)


def column(batch: RowBatch, name: str) -> ArrowArray:
    """A column of the batch's table as one array."""
    return batch.table.column(name).combine_chunks()


def _delivery_messages(batch: RowBatch, codes: ArrowArray) -> ArrowArray:
    words = column(batch, "message")
    messages = _shown(words)
    if codes.null_count == len(codes):
        return messages
    for code in pc.unique(codes.drop_null()).to_pylist():
        here = pc.fill_null(pc.equal(codes, code), fill_value=False)
        messages = pc.if_else(here, _delivery_message(code, words, column(batch, "key")), messages)
    return messages


def _delivery_message(code: str, words: ArrowArray, keys: ArrowArray) -> ArrowArray:
    """The same for every row but for the API's words and the key."""
    texts = pc.unique(words).to_pylist()
    wanted = pa.array([delivery_message(code, text or "", _KEY_MARK) for text in texts], pa.string())
    messages = wanted.take(pc.index_in(words, pc.unique(words)))
    if code not in REASONS or "{value}" not in REASONS[code].message:
        return messages
    before, after = (pc.list_element(pc.split_pattern(messages, _KEY_MARK), part) for part in (0, 1))
    return pc.binary_join_element_wise(before, _shown(pc.fill_null(keys, "")), after, "")


def _shown(texts: ArrowArray) -> ArrowArray:
    if pc.all(pc.utf8_is_printable(texts)).as_py() is not False:  # None: there is no text at all
        return texts
    return pa.array([None if text is None else shown(text) for text in texts.to_pylist()], pa.string())


def _grouped(batch: RowBatch, messages: ArrowArray) -> ArrowArray:
    group_heads = column(batch, "leader")
    if group_heads.null_count == len(group_heads):
        return messages
    follows = pc.and_(pc.equal(column(batch, "state"), State.GROUPED.value), group_heads.is_valid())
    sources = _shown(column(batch, "leader_source"))
    elsewhere = pc.coalesce(pc.binary_join_element_wise(sources, ", ", ""), "")
    text = pc.binary_join_element_wise("part of ", elsewhere, "row ", pc.cast(group_heads, pa.string()), "'s event", "")
    return pc.if_else(follows, text, messages)


def _with_reasons(
    batch: RowBatch, codes: ArrowArray, messages: ArrowArray
) -> tuple[ArrowArray, ArrowArray, ArrowArray]:
    """Put planning's reasons in front of delivery's."""
    by_row = [(row, tuple(found)) for row, found in groupby(batch.reasons, key=attrgetter("row"))]
    rows = column(batch, "row").to_numpy(zero_copy_only=False)
    positions = np.searchsorted(rows, np.fromiter((row for row, _ in by_row), np.int64, len(by_row)))
    places = pa.array(positions)
    late = zip(codes.take(places).to_pylist(), messages.take(places).to_pylist(), strict=True)
    lines = [_line(found, *delivery) for (_, found), delivery in zip(by_row, late, strict=True)]
    chosen = np.zeros(len(rows), np.bool_)
    chosen[positions] = True
    fields = pa.nulls(len(rows), pa.string())
    texts = zip(*lines, strict=True)
    replaced = [
        pc.replace_with_mask(array, pa.array(chosen), pa.array(values, pa.string()))
        for array, values in zip((codes, fields, messages), texts, strict=True)
    ]
    return replaced[0], replaced[1], replaced[2]


def _line(reasons: Iterable[Reason], code: str | None, message: str | None) -> tuple[str, str, str]:
    codes = [reason.code for reason in reasons]
    fields = [shown(reason.field) for reason in reasons]
    messages = [message_of(reason.code, reason.field, reason.value) for reason in reasons]
    if code is not None or message is not None:
        codes.append(code or "")
        fields.append("")
        messages.append(message or "")
    return SEPARATOR.join(codes), SEPARATOR.join(fields), SEPARATOR.join(messages)
