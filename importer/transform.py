"""Transform: the escape hatch, a Python function of the user's that rewrites rows before they are converted.

It gets each chunk as a DataFrame and returns one. It is named on the command line only, so that a mapping stays data.
Where it fails, the error points into the user's file.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, cast

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.errors import TransformError, UsageError
from importer.model import ArrowArray, Bools, Chunk
from importer.wording import brief, shown

Texts: TypeAlias = "Callable[[ArrowArray], tuple[ArrowArray, ArrowArray | None, Bools | None]]"
"""Turns an Arrow array of any type into exact text; beside it, where objects or lists were found (None: nowhere)."""

_NO_ARROW = (pa.ArrowException, OverflowError, TypeError, UnicodeError)
"""What Arrow and pandas raise for values that Arrow has no type for."""
_SHOWN = 3
"""Row numbers that an error names."""


class Transform:
    """A function DataFrame → DataFrame, called once for each chunk.

    It gets the rows as text, one column per column of the source, indexed by row number (``df.index``), with the
    source's name in ``df.attrs["source"]``. It returns a DataFrame with the same index: rows that are missing from it
    are filtered; columns may be changed, added and removed, and may hold text, numbers, booleans, dates or None.
    """

    def __init__(self, spec: str, texts: Texts, code: bytes | None = None) -> None:
        """Load ``file.py:function``; raises `UsageError` where there is none, `TransformError` where it fails.

        ``code`` is what is in the file, where another machine has it.
        """
        self.spec = spec
        self._texts = texts
        file, _, name = spec.rpartition(":")
        if not file or not name:
            raise UsageError(f"--transform {shown(spec)}: not FILE:FUNCTION", hint="write it as clean.py:transform")
        self._path = Path(file)
        self.code = _content(spec, self._path) if code is None else code
        """What is in the file."""
        pa.table({}).to_pandas()  # from here on pyarrow knows a DataFrame, wherever the function hands it one
        self._function = _load(spec, self._path, name, self.code)

    def __repr__(self) -> str:
        return f"<Transform {self.spec}>"

    def columns(self, known: tuple[str, ...] | None, mapped: tuple[str, ...]) -> tuple[str, ...]:
        """Which columns to read: all that the source names, and what the mapping names: paths, and all of JSONL's.

        A function asks for more with an attribute: ``function.columns = ["extra.path"]``.
        """
        extra = tuple(getattr(self._function, "columns", ()))
        return tuple(dict.fromkeys((*(known or ()), *mapped, *extra)))

    def __call__(self, chunk: Chunk) -> tuple[Chunk, Bools]:
        """The chunk as the function leaves it, and which of its rows are still there.

        Raises `TransformError`: the function raised, or returned something that is no DataFrame of these rows.
        """
        frame = chunk.table.to_pandas(strings_to_categorical=False)
        frame.index = pd.Index(chunk.rows, name="row")
        frame.attrs["source"] = chunk.source.name
        where = f"rows {chunk.first_row:,} to {chunk.first_row + chunk.count - 1:,} of {chunk.source.name}"
        result = self._call(frame, where)
        self._check(result, chunk, where)
        # Rows are put in their places as text: a DataFrame with gaps would make floats of its integers.
        origin = result.index.get_indexer(pd.Index(chunk.rows))
        rows = pa.array(origin, mask=origin < 0)
        columns, nested = {}, {}
        for name in result.columns:
            text, structured = self._column(result[name])
            columns[name] = text.take(rows)
            structured = None if structured is None else pc.fill_null(structured.take(rows), fill_value=False)
            before = chunk.nested.get(name)
            if before is not None:  # its JSON came as text, and is still what it was where it is unchanged
                same = pc.fill_null(pc.equal(columns[name], chunk.table[name].combine_chunks()), fill_value=False)
                unchanged = pc.and_(before, same)
                structured = unchanged if structured is None else pc.or_(structured, unchanged)
            if structured is not None:
                nested[name] = structured
        literal = {
            name: columns[name].is_valid()
            for name in result.columns
            if name in columns and pd.api.types.is_numeric_dtype(result[name].dtype)
        }
        for name, before in chunk.literal.items():
            if name in columns and name not in literal:
                same = pc.equal(columns[name], chunk.table[name].combine_chunks())
                literal[name] = pc.and_(before, pc.fill_null(same, fill_value=False))
        return replace(chunk, table=pa.table(columns), nested=nested, literal=literal), origin >= 0

    def _column(self, series: pd.Series[Any]) -> tuple[ArrowArray, ArrowArray | None]:
        """A column as text, and where it holds objects or lists."""
        arrays, order = arrays_of(series)
        texts, nested, textless = zip(*map(self._texts, arrays), strict=True)
        none = [np.zeros(len(array), np.bool_) for array in arrays]
        bad = np.concatenate([no if mask is None else mask for no, mask in zip(none, textless, strict=True)])
        if bad.any():
            row = series.index[order.index(int(bad.argmax())).as_py()]
            raise TransformError(
                f"{shown(self.spec)} returned what is no text, in row {row}, column {shown(str(series.name))}",
                hint="decode bytes in the function; dates and times have the years 1 to 9999",
            )
        if not any(mask is not None for mask in nested):
            return pa.concat_arrays(texts).take(order), None
        marks = [pa.array(no) if mask is None else mask for no, mask in zip(none, nested, strict=True)]
        return pa.concat_arrays(texts).take(order), pa.concat_arrays(marks).take(order)

    def _call(self, frame: pd.DataFrame, where: str) -> pd.DataFrame:
        try:
            with redirect_stdout(sys.stderr):  # stdout is for data
                return self._function(frame)
        except (Exception, SystemExit) as error:  # exit() in it must not pass for an import that is done
            raise TransformError(
                f"{shown(self.spec)} failed on {where}: {_words(error)}{_place(error, self._path)}",
                hint="nothing was sent; correct the function and run the command again",
            ) from error

    def _check(self, result: Any, chunk: Chunk, where: str) -> None:
        if not isinstance(result, pd.DataFrame):
            raise TransformError(
                f"{shown(self.spec)} returned {type(result).__name__} for {where}, not a DataFrame",
                hint="end the function with `return df`",
            )
        given = result.index.get_level_values(0).isin(chunk.rows) & (result.index.nlevels == 1)
        if not result.index.is_unique or not given.all():
            odd = result.index[~given | result.index.duplicated()][:_SHOWN].tolist()
            raise TransformError(
                f"{shown(self.spec)} returned rows that it was not given, or rows twice, for {where}: {odd}",
                hint="keep the DataFrame's index: each row of the file may be changed or left out, not added",
            )
        names = list[Any](result.columns)
        odd_names = [name for name in names if not isinstance(name, str) or names.count(name) > 1]
        if odd_names:
            raise TransformError(
                f"{shown(self.spec)} returned columns whose names are not text, or come twice: {odd_names[:_SHOWN]}",
                hint="name each with a text of its own",
            )


def arrays_of(series: pd.Series[Any]) -> tuple[list[ArrowArray], ArrowArray]:
    """A column as Arrow arrays, one for each type of its values; and which of all these values each row has.

    Of values of several types Arrow makes the first one's: dates of times, UTC of times without a zone. Of what Arrow
    has no type for, objects and lists are JSON, and the rest is its text, in UTF-8.
    """
    if series.dtype != np.dtype(object) and not isinstance(series.dtype, pd.PeriodDtype):
        with suppress(*_NO_ARROW):
            return [pa.array(series, from_pandas=True)], pa.array(np.arange(len(series)))
    there = np.flatnonzero(series.notna())
    values = series.to_numpy(dtype=object)[there]
    kinds, kind = np.unique(
        np.array([f"{type(value).__name__} {getattr(value, 'tzinfo', '')}" for value in values], np.str_),
        return_inverse=True,
    )
    order = np.full(len(series), -1)
    order[there[np.argsort(kind, kind="stable")]] = np.arange(len(there))
    arrays = [_array(values[kind == number]) for number in range(len(kinds))]
    return arrays or [pa.nulls(0)], pa.array(order, mask=order < 0)


def _array(values: Any) -> ArrowArray:
    try:
        made = pd.Series(list(values))  # pandas keeps the nanoseconds of its own times
        # Arrow makes numbers of periods.
        return pa.array(made.astype(str) if isinstance(made.dtype, pd.PeriodDtype) else made, from_pandas=True)
    except _NO_ARROW:
        if isinstance(values[0], list | tuple | set | frozenset | dict):
            with suppress(TypeError):  # keys that are no text
                texts = [msgspec.json.encode(value, enc_hook=str).decode() for value in values]
                return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts))
        return pa.array([str(value).encode("utf-8", "surrogatepass") for value in values], pa.binary())


def _content(spec: str, path: Path) -> bytes:
    if not path.is_file():
        problem, hint = f"there is no file {shown(str(path))}", "write it as clean.py:transform"
    elif path.suffix != ".py":
        problem, hint = f"{shown(str(path))} is not a Python file", "its name must end in .py"
    else:
        return path.read_bytes()
    raise UsageError(f"--transform {shown(spec)}: {problem}", hint=hint)


def _load(spec: str, path: Path, name: str, code: bytes) -> Callable[[pd.DataFrame], pd.DataFrame]:
    file = str(path)
    module = ModuleType(f"transform_{path.stem}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    try:
        # The lines that errors show are those of the code as it was read once.
        lines = importlib.util.decode_source(code).splitlines(keepends=True)
        linecache.cache[file] = (len(code), None, lines, file)
        with redirect_stdout(sys.stderr):
            exec(compile(code, file, "exec", dont_inherit=True), vars(module))  # noqa: S102  # the user's own file, from the command line
    except (Exception, SystemExit) as error:  # a script that ends with sys.exit(main())
        raise TransformError(
            f"{shown(file)} cannot be loaded: {_words(error)}{_place(error, path)}",
            hint="correct the file",
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(
            f"--transform {shown(spec)}: {shown(file)} has no function {shown(name)}",
            hint=f"it has {', '.join(there) if there else 'no function at all'}",
        )
    return cast("Callable[[pd.DataFrame], pd.DataFrame]", function)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {brief(str(error), 500)}"


def _place(error: BaseException, path: Path) -> str:
    """Where in the user's file it happened: `` (clean.py, line 12: df["Totl"])``."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" ({path.name}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).resolve() == path.resolve():
            return f" ({path.name}, line {frame.lineno}: {frame.line})"
    return ""
