"""`importer run`, `resume` and `retry`: plan, confirm, deliver, report; then go on, or send again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from importer.cli import options as opt
from importer.cli.console import ConsoleOptions, finish
from importer.cli.settings import Command, was_given

if TYPE_CHECKING:
    from importer.pipeline.console import AccountsResult, Console, Result

_options_of_a_run = opt.options_of(
    click.argument("run_id", required=False, metavar="[RUN]", shell_complete=opt.complete_runs),
    opt.ledger_options,
    opt.out_option,
    opt.delivery_options,
    opt.console_options,
    opt.summary_option,
    opt.sending_options,
)


@click.command("run", cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=opt.complete_files)
@opt.mapping_option
@opt.accounts_option
@opt.ledger_options
@opt.out_option
@opt.reading_options
@opt.planning_options
@opt.safety("--again", is_flag=True, help="Send rows again that were delivered before.")
@opt.output("--keep-bodies", is_flag=True, help="Keep the bodies of delivered events in the ledger.")
@opt.delivery_options
@opt.console_options
@opt.summary_option
@opt.sending_options
def run(**given: Any) -> int:
    """Deliver the rows of SOURCE as events, and report what became of each.

    \b
    Rehearse, then send for real:
      importer run orders.csv -m orders.yaml --sandbox
      importer run orders.csv -m orders.yaml

    SOURCE is a file, a glob, a directory, an address (s3, gs, abfs, https), or - for standard input; CSV, JSONL or
    Parquet, compressed or not. The same command again, after an interruption, goes on where it stopped. Exit codes: 0
    all delivered, 1 some rows were not, 2 nothing could be done, 3 stopped before the end (`importer resume` goes on).
    """
    from importer.pipeline import program

    options, target = opt.run_options(given), opt.target_options(given)

    def work(console: Console) -> Result | AccountsResult:
        if given["accounts_file"] is None:
            return program.run(options, target, console)
        from importer.pipeline import accounts

        one = given["account"] if was_given(click.get_current_context(), "account") else None
        return accounts.run(options, target, accounts.load_accounts(given["accounts_file"]), console, one)

    return finish(work, ConsoleOptions.of(given))


@click.command("resume", cls=Command)
@_options_of_a_run
@opt.accounts_option
def resume(**given: Any) -> int:
    """Go on with RUN where it stopped; the newest unfinished run, if none is named.

    \b
    Put in a new token, then go on:
      SENDER_API_TOKEN=… importer resume

    The source files are not needed any more. Rows in doubt stay in doubt: see `importer resolve`.
    """
    from importer.pipeline import program

    options, target, run_id = opt.run_options(given), opt.target_options(given), given["run_id"]

    def work(console: Console) -> Result | AccountsResult:
        file = given["accounts_file"]
        if run_id:
            from importer.pipeline.find import file_of_accounts

            own = file_of_accounts(target, run_id)
            file = (file or own) if own else None  # a run of one account knows where its token is
        if file is None:
            return program.resume(run_id, options, target, console)
        from importer.pipeline import accounts

        return accounts.resume(run_id, options, target, accounts.load_accounts(file), console)

    return finish(work, ConsoleOptions.of(given))


@click.command("retry", cls=Command)
@_options_of_a_run
def retry(**given: Any) -> int:
    """Send the rows of RUN, or of the newest run, again that the API refused or that failed.

    \b
    After the event type was created in Sender:
      importer retry 20261123-180355-k7

    It shows how many, and asks. A failed row may have been accepted: check in Sender first. Rows that another run has
    delivered in the meantime are left out. To correct rows first, edit rejects.csv and give it to `importer run`.
    """
    from importer.pipeline import program

    options, target = opt.run_options(given), opt.target_options(given)
    return finish(lambda console: program.retry(given["run_id"], options, target, console), ConsoleOptions.of(given))
