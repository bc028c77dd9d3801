"""docs/presets.md, written from the presets themselves.

``python -m tests.docs.presets_page > docs/presets.md`` writes the page. This module owns its layout; all it tells
stands in the presets: what each is for and what to adapt in its comment, the columns in its picks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from importer.mapping.load import LoadedMapping, load_preset, preset_names
from importer.mapping.model import ImportMapping

_PREAMBLE = """\
# Presets

<!-- Written by `python -m tests.docs.presets_page > docs/presets.md`. -->

A preset is a mapping for what a platform exports. `-m` takes its name, `importer presets` lists all, and `importer
presets NAME` prints one as YAML. It finds columns by their names, in any order; of those that a file lacks it warns,
and goes on.

```console
$ importer check orders.csv -m shopify-orders --preview 3
$ importer run orders.csv -m shopify-orders --sandbox
```

What is different in your files goes into a mapping of your own, which [extends](mapping.md#extends) the preset:

```yaml
extends: shopify-orders
key: {template: "north {Name}"}
properties:
  shop: {const: north}
  tags: null
```

Only what has happened becomes an event: unpaid, failed and cancelled orders are left out, and refunds have presets of
their own. An event's type must exist in Sender; rename it with `type: {const: …}`. Where an export names no currency,
the preset refuses to run until you say it. A subscriber is named by the e-mail where there is one, else by the phone.

A new preset is a YAML file in `importer/mapping/presets/` with `tests` of its own, and a golden case in a folder
`tests/cases/preset-NAME`.

| preset | what it makes of a row |
|---|---|
"""


def page() -> str:
    """The page's text."""
    loaded = [load_preset(name) for name in preset_names()]
    rows = "".join(f"| [`{one.name}`](#{one.name}) | {one.mapping.about} |\n" for one in loaded)
    return _PREAMBLE + rows + "".join(f"\n{section}" for section in map(_section, loaded))


def _section(preset: LoadedMapping) -> str:
    told, adapted = _comment(preset.text)
    mapping = preset.mapping
    needs = "".join(f"\nTo be added, `{word}`: {why}\n" for word, why in mapping.needs.items())
    return (
        f"### `{preset.name}`\n\n{mapping.about}\n\n{told}\n{needs}\n"
        f"{_targets(mapping)}\n{_event(mapping)}{adapted and f'```text{chr(10)}{adapted}```{chr(10)}'}"
    )


def _comment(text: str) -> tuple[str, str]:
    """The comment at the preset's head: the prose, and from `To adapt` on what is laid out in columns."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    start = next(number for number, line in enumerate(lines) if line.startswith("To adapt"))
    prose = "\n".join(lines[:start]).strip().replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
    return prose, "".join(f"{line}\n" for line in lines[start:])


def _targets(mapping: ImportMapping) -> str:
    """A table of what comes from which columns."""
    rows = [("`where`", [test.column for test in mapping.where])] if mapping.where else []
    rows += [("`group_by`", list(mapping.group_by.columns()))] if mapping.group_by else []
    rows += [(f"`{target}`", list(pick.columns())) for target, pick in mapping.fields() if pick.columns()]
    head = "| from these columns | comes |\n|---|---|\n"
    merged: dict[str, list[str]] = {}
    for target, columns in rows:
        cells = ", ".join(f"`{column}`" for column in dict.fromkeys(columns))
        merged.setdefault(cells, []).append(target)
    return head + "".join(f"| {cells} | {', '.join(targets)} |\n" for cells, targets in merged.items())


def _event(mapping: ImportMapping) -> str:
    """The first event that its examples expect."""
    for event in _expected(mapping):
        return f"An event:\n\n```json\n{json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n```\n\n"
    return ""


def _expected(mapping: ImportMapping) -> Iterator[object]:
    for example in mapping.tests:
        for event in example.events or ():
            yield event.model_dump(exclude_unset=True)


if __name__ == "__main__":
    sys.stdout.write(page())
