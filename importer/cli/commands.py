"""The commands, each imported when it is needed: `importer --help` starts in a blink."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

COMMANDS = {
    "start": "Go from FILE to a rehearsal, and on to a live run, one step after the other",
    "run": "Deliver the rows of SOURCE as events, and report what became of each",
    "check": "Check SOURCE against the mapping and the API's rules, without sending anything",
    "init": "Write a mapping for SOURCE, with comments that say how certain each line is",
    "presets": "List the presets, with what each makes of a row; "
    "or print the one called NAME, to read or to start from",
    "schema": "Print the JSON Schema of mappings, by which editors complete, explain and check them",
    "resume": "Go on with RUN where it stopped; the newest unfinished run, if none is named",
    "runs": "List the runs of all accounts and endpoints, newest first; "
    "with RUN, one run with its totals and its reasons",
    "report": "Write what became of every row of RUN, or of the newest run",
    "review": "Correct the rows of RUN, or of the newest run, that were not delivered, "
    "on a page in a browser on this machine",
    "retry": "Send the rows of RUN, or of the newest run, again that the API refused or that failed",
    "resolve": "Decide on the rows of RUN, or of the newest run, that may or may not have arrived, all or row by row",
    "watch": "Deliver the files that arrive in DIR, one after the other, the oldest first",
    "doctor": "Check everything that a live run needs, without sending anything",
    "prune": "Delete the details of old runs, to keep the ledger small",
    "forget": "Remove a person from the ledger; rows that were sent are still never sent again",
    "ledger": "Copy a ledger into another database, with all that keeps a row or a key from being sent twice",
    "sandbox": "Serve POST /v2/events on this machine, to rehearse against",
}
"""In the order of the help, each with the first sentence of its own help."""
_SHARED = {
    "resume": "run",
    "retry": "run",
    "report": "runs",
    "review": "runs",
    "presets": "mappings",
    "schema": "mappings",
    "doctor": "upkeep",
    "prune": "upkeep",
    "forget": "upkeep",
    "ledger": "upkeep",
}
"""The files that hold several commands; every other one is in the file of its name."""


def load_command(name: str) -> click.Command:
    """The command of that name."""
    module = importlib.import_module(f"importer.cli.{_SHARED.get(name, name)}")
    command: click.Command = getattr(module, name)
    return command
