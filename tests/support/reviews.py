"""Runs with rejected rows, and a review of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import SANDBOX_ENDPOINT, Outcome, Run, RunState, State
from importer.pipeline.options import ReadOptions, RunOptions, TargetOptions
from importer.pipeline.prepare import prepare_stored
from importer.plan import plan
from importer.review.desk import Filter, Line
from importer.review.session import Review
from importer.sandbox import Running, SandboxOptions

MAPPING = """version: 1
subscriber: {email: Email}
type: {const: purchase}
value: Total
value_currency: {const: EUR}
key: Order
properties: {coupon: Coupon}
"""
HEADER = "Order,Email,Total,Coupon"


@dataclass
class Import:
    """A directory with a ledger, a mapping and what was typed."""

    directory: Path
    mapping: str = MAPPING
    sandbox: Running | None = None
    """Where its events go, as to the real API; None: a rehearsal."""
    said: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """Its ledger, opened."""
        endpoint = f"{self.sandbox.url}events" if self.sandbox else SANDBOX_ENDPOINT
        return Ledger(self.directory / "ledger.db", account="default", endpoint=endpoint)

    @property
    def target(self) -> TargetOptions:
        """Where its events go."""
        target = TargetOptions(self.directory / "ledger.db", sandbox=SandboxOptions())
        if self.sandbox is None:
            return target
        token = {"SENDER_API_TOKEN": self.sandbox.token}
        return replace(target, sandbox=None, endpoint=self.sandbox.url, environment=token)

    def run(self, source: Path, states: Sequence[State] = (), *, transform: str = "") -> Run:
        """Plan a file, and let the API have answered for the first pending rows as told."""
        (self.directory / "m.yaml").write_text(self.mapping, encoding="utf-8")
        loaded = load(str(self.directory / "m.yaml"))
        options = RunOptions((str(source),), loaded.name, out=self.directory / "out", transform=transform)
        with self.ledger as ledger:
            run = ledger.create_run(
                mapping_name=loaded.name, mapping_text=loaded.text, mapping_digest=loaded.mapping.digest(),
                options=options.kept(),
            )  # fmt: skip
            reading = ReadOptions(raw_rows=True, transform=transform)
            plan(
                ledger,
                run,
                prepare_stored([str(source)], loaded.mapping, reading, self.said.append, ledger.hasher),
                lambda _: None,
            )
            run = ledger.seal(run)
            rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(states) or 1)]
            if states:
                ledger.set_state(run, RunState.DELIVERING)
                ledger.commit([], rows)
                codes = {State.SENT: "", State.REFUSED: "api.refused", State.IN_DOUBT: "doubt.no_answer"}
                ledger.commit(
                    [Outcome(r, s, 1, None, codes[s], "", 1e9, 0.1) for r, s in zip(rows, states, strict=True)], []
                )
            return ledger.set_state(run, RunState.STOPPED if ledger.has_pending(run) else RunState.FINISHED)

    def csv(self, *rows: str, header: str = HEADER, name: str = "orders.csv") -> Path:
        """A CSV file of these records."""
        path = self.directory / name
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8", errors="surrogateescape")
        return path

    def review(self, run_id: str | None = None) -> Review:
        """A review of the run, or of the newest."""
        return Review(run_id, self.target, RunOptions((), ""), self.said.append)


def shown(review: Review, status: str = "open") -> list[Line]:
    """The first rows of a status."""
    return review.desk.page(Filter(status))
