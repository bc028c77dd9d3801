"""Templates: text with ``{column}`` in it.

It cuts a template into pieces; `convert.values` fills them in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of literal text, or the place of a column."""

    text: str
    """The literal, with ``{{`` and ``}}`` made single, or the column's name."""
    is_column: bool


def split(template: str) -> tuple[Piece, ...]:
    """Cut ``template`` into pieces, in order; neighbouring literals are one piece.

    Raises:
        ValueError: a brace is alone, or one pair names no column; the text says which.
    """
    pieces: list[Piece] = []
    literal = ""
    end = 0
    for token in _TOKEN.finditer(template):
        literal += template[end : token.start()]
        end = token.end()
        if token[0] in {"{{", "}}"}:
            literal += token[0][0]
        elif token[1] is None:
            raise ValueError(f"the `{token[0]}` at character {token.start() + 1} has no partner")
        elif not token[1].strip():
            raise ValueError(f"`{token[0]}` at character {token.start() + 1} names no column")
        else:
            pieces += [Piece(literal, is_column=False)] if literal else []
            pieces.append(Piece(token[1], is_column=True))
            literal = ""
    literal += template[end:]
    pieces += [Piece(literal, is_column=False)] if literal else []
    return tuple(pieces)
