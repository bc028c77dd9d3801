"""What happens before the first request, while a person waits: starting, checking, planning."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.processes import Measured, measure
from tests.bench.table import Bench, beside, cost, mapping

AGGREGATES = {"total": "sum", "order": "last", "quantity": "sum", "ordered_at": "max"}
PANDAS = "import sys, pandas; pandas.read_csv(sys.argv[1], dtype=str)"


def small(found: Bench) -> None:
    """How long nothing takes."""
    ten, rounds = found.exports(10)["csv"], range(found.size.rounds + 2)
    found.add("`importer --help`", 1, [found.importer("--help") for _ in rounds])
    found.add("`check`, ten rows", 10, [found.check(ten) for _ in rounds])


def checks(found: Bench) -> None:
    """`check` of each format; of CSV beside pandas, with a lookup of as many rows, and with a group for three rows."""
    rows, files = found.size.rows, found.exports(found.size.rows)
    looking = found.mapping(
        "looking",
        mapping("{lookup: people, by: order, column: email}", f"lookups: {{people: {_people(files['csv'])}}}\n"),
    )
    whole = mapping("email", "group_by: customer\n", "customer")
    for column, aggregate in AGGREGATES.items():
        whole = whole.replace(f": {column}\n", f": {{column: {column}, aggregate: {aggregate}}}\n")
        whole = whole.replace(f"{{column: {column}, as", f"{{column: {column}, aggregate: {aggregate}, as")
    grouping = found.mapping("grouping", whole)
    read, plain, looked, grouped = [], [], [], []
    others: dict[str, list[Measured]] = {"jsonl": [], "parquet": []}
    for _ in range(found.size.rounds):
        read.append(measure([sys.executable, "-c", PANDAS, str(files["csv"])], found.home))
        plain.append(found.check(files["csv"]))
        looked.append(found.check(files["csv"], looking))
        grouped.append(found.check(files["csv"], grouping))
        for kind, figures in others.items():
            figures.append(found.check(files[kind]))
    found.add("`pandas.read_csv(dtype=str)` alone", rows, read)
    found.add("`check` of CSV", rows, plain, beside(plain, read, "pandas", of="wall time"))
    found.add("… with a lookup of as many rows", rows, looked, beside(looked, plain, "`check`", of="wall time"))
    found.add("… with groups of three rows", rows, grouped, beside(grouped, plain, "`check`", of="wall time"))
    for kind, figures in others.items():
        found.add(f"`check` of {kind}", rows, figures)


def plans(found: Bench) -> None:
    """Plan and report, at two sizes: a run that stops after its first event."""
    sizes = [found.size.rows, found.size.large] if found.size.large else [found.size.rows]
    costs = []
    for rows in sizes:
        path = found.exports(rows)["csv"]
        found.add("`check` of CSV, for its peak", rows, [found.check(path)])
        planned = [found.run(path, "--sandbox", "--max-events", "1", ends=3)]
        costs.append(cost(planned, rows))
        ratio = f"{costs[-1] / costs[0]:.2f} of the cost of {sizes[0]:,} rows" if len(costs) > 1 else ""
        found.add("plan and report of CSV", rows, planned, ratio)


def _people(orders: Path) -> str:
    """A second file, an address for each order, as `lookups` names it."""
    path = orders.with_name("people.csv")
    with orders.open(encoding="utf-8") as rows, path.open("w", encoding="utf-8") as out:
        for row in rows:
            cells = row.split(",")
            out.write(f"{cells[0]},{cells[2]}\n")
    return f"{{file: {path.name}, key: order}}"
