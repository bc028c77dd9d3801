"""`importer presets` and `schema`: the mappings that come with the product, and their language for editors."""

from __future__ import annotations

import textwrap

import click

from importer.cli import options as opt
from importer.cli.settings import Command

_WIDTH = 100


@click.command("presets", cls=Command)
@click.argument("name", required=False, shell_complete=opt.complete_presets)
def presets(name: str | None) -> None:
    """List the presets, with what each makes of a row; or print the one called NAME, to read or to start from.

    \b
    Use one as it is, or extend it in a mapping of your own (`extends: shopify-orders`, then what is different):
      importer presets
      importer presets shopify-orders
      importer check orders.csv -m shopify-orders --preview 3
    """
    from importer.mapping.load import load_preset, preset_names, preset_text

    if name is not None:
        click.echo(preset_text(name), nl=False)
        return
    margin = max(map(len, preset_names())) + 2
    for each in preset_names():
        mapping = load_preset(each).mapping
        about = f"{mapping.about} To be added: {', '.join(mapping.needs)}." if mapping.needs else mapping.about or ""
        lines = textwrap.wrap(about, _WIDTH - margin)
        click.echo(f"{each:<{margin}}" + f"\n{' ' * margin}".join(lines))


@click.command("schema", cls=Command)
@opt.basic("--for", "file", metavar="FILE", shell_complete=opt.complete_files,
           help="Offer the names of this export's columns, too.")  # fmt: skip
def schema(file: str | None) -> None:
    """Print the JSON Schema of mappings, by which editors complete, explain and check them.

    \b
    Save it, and name it in a mapping's first line:
      importer schema --for orders.csv > orders.schema.json
      # yaml-language-server: $schema=orders.schema.json
    """
    from importer.mapping.columns import schema_text

    columns: list[str] = []
    if file is not None:
        from importer.suggest.sampling import sample

        columns = [column.name for column in sample(file, lambda line: click.echo(line, err=True)).columns]
    click.echo(schema_text(columns), nl=False)
