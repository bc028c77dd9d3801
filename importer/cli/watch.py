"""`importer watch`: nightly drops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from importer.cli import options as opt
from importer.cli.console import ConsoleOptions
from importer.cli.settings import Command, was_given
from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.remote import RemotePath
    from importer.watch import FileOutcome, FileRule


@click.command("watch", cls=Command)
@click.argument("directory", metavar="DIR", type=opt.Place(path_type=Path))
@opt.basic("-m", "--mapping", metavar="MAPPING", shell_complete=opt.complete_mappings,
           help="The mapping of all files, a YAML file or a preset's name.")  # fmt: skip
@opt.basic("--drops", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
           help="Which mapping a file gets by its name. [default: DIR/drops.yaml]")  # fmt: skip
@opt.accounts_option
@opt.basic("--once", is_flag=True, help="Take what is there, then end: for cron and timers.")
@opt.pace("--marker", default="", metavar="SUFFIX",
          help="A file is complete when NAME+SUFFIX is there (.done, .ok), and only then.")  # fmt: skip
@opt.pace("--stable-for", "--settle", "stable_for", type=opt.Duration(), default="10s", show_default=True,
          metavar="TIME", help="A file that has not changed for this time is complete.")  # fmt: skip
@opt.pace("--retry-after", "retry", type=opt.Duration(), default="5m", show_default=True, metavar="TIME",
          help="Retry a file that was stopped (an outage, a token) after this time.")  # fmt: skip
@opt.safety("--max-invalid", default="100%", show_default=True, metavar="N",
            help="Send nothing of a file with more invalid rows than N (20), or than a share of its rows (5%)."
)  # fmt: skip
@opt.safety("--min-rows", type=click.IntRange(min=0), default=0, metavar="N",
            help="Send nothing of a file with fewer rows.")  # fmt: skip
@opt.basic("--on-finish", default="", metavar="CMD", help="Run CMD after each file, summary.json on its stdin.")
@opt.basic("--on-success", default="", metavar="CMD", help="Run CMD after each file of which every row was delivered.")
@opt.reading_options
@opt.output("--metrics-port", type=click.IntRange(1, 65535), metavar="PORT",
            help="Answer http://127.0.0.1:PORT/metrics for as long as it watches.")  # fmt: skip
@opt.unattended_options
@opt.console_options
@opt.sending_options
@opt.ledger_options
def watch(**given: Any) -> int:
    """Deliver the files that arrive in DIR, one after the other, the oldest first.

    \b
    From cron, every night; or as a service:
      importer watch /srv/drops -m orders.yaml --once --yes
      importer watch /srv/drops -m orders.yaml --yes

    A file is taken when it is complete: unchanged for a while, marked by a file NAME.done, or renamed from a temporary
    name (.part, .tmp, hidden). It moves to DIR/processing, then with its reports beside it to DIR/done, or to
    DIR/failed if it cannot be used. After an interruption the next `importer watch` goes on. Each file prints a line
    on stdout. Exit codes with --once: 0 all delivered, 1 some rows were not, 2 some file cannot be used, 3 stopped.
    """
    from importer.watch import WatchConsole, Watcher, WatchOptions

    if not (given["yes"] or given["sandbox"]):
        hint = "give --yes if this is meant, or rehearse with --sandbox"
        raise UsageError("a watch sends without asking", hint=hint)
    named = given["accounts_file"] and was_given(click.get_current_context(), "account")
    one = given["account"] if named else None
    rules = _rules(given["directory"], given.pop("mapping"), given["drops"])
    options = WatchOptions(
        **opt.fields_of(WatchOptions, given),
        rules=tuple(replace(rule, account=rule.account or one) for rule in rules),
        run=opt.run_options(given),
    )
    speech = ConsoleOptions.of({**given, "yes": True, "brief": not given["verbose"], "timed": True})
    console = speech.console()
    metrics = speech.open_metrics()

    def show(outcome: FileOutcome) -> None:
        click.echo(outcome.line())
        if metrics:  # those of several accounts have heard of it
            metrics.end(outcome.code, None if given["accounts_file"] else outcome.counts)
            metrics.file(outcome.place.value)

    watched = WatchConsole(metrics.console(console) if metrics else console, show)
    watcher = Watcher(options, opt.target_options(given), watched)
    try:
        return int(watcher.once() if given["once"] else watcher.forever())
    finally:
        console.close()


def _rules(directory: Path | RemotePath, mapping: str | None, drops: Path | None) -> tuple[FileRule, ...]:
    from importer.mapping.load import load
    from importer.watch import load_rules, one_rule

    if mapping and drops:
        raise UsageError("-m and --drops exclude each other", hint="write the mapping into the drops file")
    beside = directory / "drops.yaml"
    if not mapping and drops is None and isinstance(beside, Path) and beside.is_file():
        drops = beside
    if mapping:
        rules = one_rule(mapping)
    elif drops:
        rules = load_rules(drops)
    else:
        name = f"write {beside}, pattern by pattern" if isinstance(beside, Path) else "--drops FILE for several"
        raise UsageError("no mapping was given", hint=f"give -m MAPPING for all files, or {name}")
    for rule in rules:
        load(rule.mapping)  # a mistake is found before the first file comes
    return rules
