"""`importer schema`: the mapping language as JSON Schema, for editors."""

from __future__ import annotations

import click

from importer.cli import completing
from importer.cli.options import basic
from importer.cli.settings import Command


@click.command("schema", cls=Command)
@basic("--for", "file", metavar="FILE", shell_complete=completing.files,
       help="Offer the names of this export's columns, too.")  # fmt: skip
def command(file: str | None) -> None:
    """Print the JSON Schema of mappings, by which editors complete, explain and check them.

    \b
    Save it, and name it in a mapping's first line:
      importer schema --for orders.csv > orders.schema.json
      # yaml-language-server: $schema=orders.schema.json
    """
    from importer.mapping.schema import text

    columns: list[str] = []
    if file is not None:
        from importer.suggest.sampling import sample

        columns = [column.name for column in sample(file, lambda line: click.echo(line, err=True)).columns]
    click.echo(text(columns), nl=False)
