"""Charts as inline SVG.

This module owns their geometry. Figures hold shapes only, so that they stretch to any width; scales are text beside
them, which keeps its size. What each chart shows can be read in a table too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from importer.report.page.markup import Html

_WIDTH, _HEIGHT = 1_000, 100
_LEAST = 4
"""Width of the smallest part of a bar, so that one row in a million is still seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar, or a kind of things in a chart."""

    name: str
    kind: str
    """The class that gives it its colour."""
    count: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns side by side, each a stack."""

    name: str
    """Unique on the page."""
    title: str
    description: str
    """What is to be seen, in a sentence."""
    kinds: Sequence[str]
    """The classes of a stack's pieces, from below."""
    columns: Sequence[Sequence[int]]
    labels: Sequence[str]
    """What each column is, for those who point at it."""
    scale: Sequence[str]
    """Below the columns, from left to right."""
    top: str
    """What the highest column comes to."""
    shaded: Sequence[tuple[float, float, str, str]] = ()
    """Times without anything: from and to as fractions of the width, their class, and what they are."""
    centred: bool = False
    """The scale has a word for each column."""


def bar(name: str, title: str, parts: Iterable[Part]) -> Html:
    """One bar whose parts add up to its length."""
    there = [part for part in parts if part.count]
    total = sum(part.count for part in there) or 1
    wide = [max(_LEAST, _WIDTH * part.count / total) for part in there]
    scale = _WIDTH / sum(wide) if wide else 1
    shapes, left = [], 0.0
    for part, width in zip(there, wide, strict=True):
        shapes.append(
            f'<rect class="{part.kind}" x="{left:.2f}" y="0" width="{width * scale:.2f}" height="{_HEIGHT}">'
            f"<title>{part.name}: {part.count:,}</title></rect>"
        )
        left += width * scale
    said = ", ".join(f"{part.name} {part.count:,}" for part in there) or "nothing"
    return Html(f'<div class="bar">{_svg(name, title, said, shapes)}</div>')


def legend(parts: Iterable[tuple[str, str]]) -> Html:
    """What the colours mean: (class, words)."""
    items = "".join(f'<li><span class="swatch {kind}" aria-hidden="true"></span>{words}</li>' for kind, words in parts)
    return Html(f'<ul class="legend">{items}</ul>')


def chart(drawn: Chart) -> Html:
    """Columns with a scale at their left and one below."""
    most = max((sum(column) for column in drawn.columns), default=0) or 1
    step = _WIDTH / max(len(drawn.columns), 1)
    shapes = [
        f'<rect class="{kind}" x="{begin * _WIDTH:.2f}" y="0" width="{max((end - begin) * _WIDTH, 1):.2f}"'
        f' height="{_HEIGHT}"><title>{label}</title></rect>'
        for begin, end, kind, label in drawn.shaded
    ]
    shapes += [f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}"/>' for y in (0.5, 50, 99.5)]
    for number, (column, label) in enumerate(zip(drawn.columns, drawn.labels, strict=True)):
        shapes += _stack(drawn.kinds, column, (number * step, step, _HEIGHT / most), label)
    scale = "".join(f"<span>{words}</span>" for words in drawn.scale)
    return Html(
        f'<figure class="chart"><div class="y"><span>{drawn.top}</span><span>0</span></div>'
        f'<div class="plot">{_svg(drawn.name, drawn.title, drawn.description, shapes)}</div>'
        f'<div class="x{" centred" if drawn.centred else ""}">{scale}</div></figure>'
    )


def _stack(kinds: Sequence[str], counts: Sequence[int], place: tuple[float, float, float], label: str) -> list[str]:
    """A column's pieces; ``place`` holds its left end, its width, and the height of one thing."""
    left, width, unit = place
    shapes, base = [], float(_HEIGHT)
    for kind, number in zip(kinds, counts, strict=True):
        if number:
            height = max(number * unit, 0.8)
            base -= height
            shapes.append(
                f'<rect class="{kind}" x="{left + width * 0.08:.2f}" y="{max(base, 0):.2f}" width="{width * 0.84:.2f}"'
                f' height="{height:.2f}"><title>{label}</title></rect>'
            )
    return shapes


def _svg(name: str, title: str, description: str, shapes: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{title}</title>'
        f'<desc id="{name}-d">{description}</desc>{"".join(shapes)}</svg>'
    )
