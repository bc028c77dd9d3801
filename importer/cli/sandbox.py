"""`importer sandbox`: the endpoint on this machine."""

from __future__ import annotations

from typing import Any

import click

from importer.cli.settings import Command


@click.command("sandbox", cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="On 127.0.0.1; 0: any.")
@click.option("--token", "tokens", multiple=True, metavar="TOKEN",
              help="A token it accepts; may be given again. [default: one is made up and printed]")  # fmt: skip
@click.option("--events", type=click.Path(dir_okay=False), metavar="FILE",
              help="Append what is accepted, one JSON object a line.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=0), default=60, show_default=True, metavar="N",
              help="Requests per minute; 0: no limit.")  # fmt: skip
@click.option("--latency", default="0ms", show_default=True, metavar="TIME", help="Answer so much later: 50ms, 2s.")
@click.option("--fault", "faults", default="", metavar="SPEC",
              help="What goes wrong: error=0.02,slow=0.05:2s,outage=30s@100 …")  # fmt: skip
@click.option("--seed", type=int, default=0, metavar="N", help="The seed of the faults.")
@click.option("--refuse-retired", is_flag=True, help="Refuse currencies that are no longer in use.")
def sandbox(**given: Any) -> None:
    """Serve POST /v2/events on this machine, to rehearse against.

    \b
    In one terminal, then in another:
      importer sandbox --token secret --events arrived.jsonl
      SENDER_API_TOKEN=secret importer run orders.csv -m orders.yaml --endpoint http://127.0.0.1:8025/v2
    """
    from importer.sandbox import SandboxOptions, parse_duration, parse_faults
    from importer.sandbox.server import serve

    latency, faults = parse_duration(given["latency"]), parse_faults(given["faults"])
    serve(SandboxOptions(**given | {"latency": latency, "faults": faults}))
