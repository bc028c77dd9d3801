"""``python -m importer.sandbox``: the sandbox without the rest of the program.

Owns its small command line. For people there is ``importer sandbox``, with the same options.
"""

from __future__ import annotations

import argparse
import sys

from importer.errors import ImporterError
from importer.sandbox.faults import parse_duration, parse_faults
from importer.sandbox.options import SandboxOptions
from importer.sandbox.process import FROM_STDIN, run_child
from importer.sandbox.server import serve


def main() -> int:
    """Run until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser("python -m importer.sandbox", description="The API on this machine, to rehearse.")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any that is free")
    parser.add_argument("--events", metavar="FILE", help="append what is accepted, as JSON lines")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="requests per minute; 0: no limit")
    parser.add_argument("--latency", default="0s", metavar="DURATION", help="every answer is that late, such as 50ms")
    parser.add_argument("--fault", default="", metavar="SPEC", help="such as error=0.02,slow=0.05:2s,outage=30s@100")
    parser.add_argument("--seed", type=int, default=0, help="of the faults' dice")
    parser.add_argument("--token", action="append", default=[], help="accepted; may be given again; none: made up")
    parser.add_argument("--refuse-retired", action="store_true", help="refuse currencies no longer in use")
    parser.add_argument(FROM_STDIN, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.from_stdin:
        run_child()
        return 0
    try:
        serve(
            SandboxOptions(
                port=asked.port,
                tokens=tuple(asked.token),
                events=asked.events,
                limit=asked.limit,
                latency=parse_duration(asked.latency),
                refuse_retired=asked.refuse_retired,
                faults=parse_faults(asked.fault),
                seed=asked.seed,
            )
        )
    except ImporterError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
