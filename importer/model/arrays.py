"""Names for the arrays that the other types hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Int64s: TypeAlias = "npt.NDArray[np.int64]"
Bools: TypeAlias = "npt.NDArray[np.bool_]"
ArrowArray: TypeAlias = Any
"""A ``pyarrow.Array``. pyarrow ships no types, so the alias says what the checker cannot."""
ArrowTable: TypeAlias = Any
"""A ``pyarrow.Table``."""

Format = Literal["csv", "jsonl", "parquet"]
