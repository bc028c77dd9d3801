"""`importer presets`: the mappings that come with the product."""

from __future__ import annotations

import textwrap

import click

from importer.cli import completing
from importer.cli.settings import Command

_WIDTH = 100


@click.command("presets", cls=Command)
@click.argument("name", required=False, shell_complete=completing.presets)
def command(name: str | None) -> None:
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
