"""What the shell offers on Tab: files, mappings and presets, runs.

It reports no error: the command itself does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from importer.errors import ImporterError

if TYPE_CHECKING:
    import click


def files(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """What the shell itself offers for a file."""
    del context, parameter
    return [CompletionItem(typed, type="file")]


def presets(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets by their names."""
    from importer.mapping.load import preset_names as names

    del context, parameter
    return [CompletionItem(name) for name in names() if name.startswith(typed)]


def mappings(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets once some letters fit, else files: a shell cannot be given both."""
    return (typed and presets(context, parameter, typed)) or files(context, parameter, typed)


def runs(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The runs of the account and place that were typed already, newest first; no ledger is made for them."""
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.options import TargetOptions, default_ledger
    from importer.sandbox import SandboxOptions

    del parameter
    given = context.params
    try:
        target = TargetOptions(
            given["ledger"] or default_ledger(os.environ),
            account=given["account"],
            endpoint=given["endpoint"],
            sandbox=SandboxOptions() if given["sandbox"] else None,
        )
        if not target.ledger.exists():
            return []
        with open_ledger(target) as ledger:
            found = [run for run in ledger.runs() if run.id.startswith(typed)]
    except ImporterError:
        return []
    return [CompletionItem(run.id, help=f"{run.state.value}, {run.mapping_name}") for run in found]
