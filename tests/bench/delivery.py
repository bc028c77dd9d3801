"""What happens from the first request on: `importer run` beside bare loops over the same connections and sink."""

from __future__ import annotations

import json
import shutil
import subprocess
from statistics import median

from importer.sandbox import SandboxOptions, process
from tests.bench.processes import Measured, sink
from tests.bench.table import Bench, beside

CONNECTIONS = 16


def plain(found: Bench) -> None:
    """Over HTTP, and in a rehearsal."""
    count, file = found.size.events, found.exports(found.size.events)["csv"]
    loops, runs, rehearsals, speeds = [], [], [], []
    with sink() as port:
        url = f"http://127.0.0.1:{port}/v2"
        for _ in range(found.size.rounds):
            loops.append(bare(found, url))
            runs.append(found.run(file, url=url))
            summary = json.loads((found.home / "out" / "summary.json").read_text(encoding="utf-8"))
            speeds.append(loops[-1].seconds / summary["seconds_delivering"])
            rehearsals.append(found.run(file, "--sandbox"))
    found.add("a bare aiohttp loop", count, loops)
    delivery = f"; its delivery alone has {median(speeds):.2f} of that speed"
    found.add("`run`, whole, to a sink", count, runs, beside(runs, loops, "the bare loop") + delivery)
    found.add("`run --sandbox`, whole", count, rehearsals, beside(rehearsals, loops, "the bare loop"))


def encrypted(found: Bench) -> None:
    """Over TLS."""
    if not (openssl := shutil.which("openssl")):
        return
    certificate, key = found.home / "certificate.pem", found.home / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = [openssl, "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    count, file = found.size.events, found.exports(found.size.events)["csv"]
    loops, runs = [], []
    with sink(str(certificate), str(key)) as port:
        url = f"https://localhost:{port}/v2"
        for _ in range(found.size.rounds):
            loops.append(bare(found, url, str(certificate)))
            runs.append(found.run(file, url=url, environment={"SSL_CERT_FILE": str(certificate)}))
    found.add("a bare aiohttp loop over TLS", count, loops)
    found.add("`run` over TLS, whole, to a sink", count, runs, beside(runs, loops, "that loop"))


def bare(found: Bench, url: str, *certificate: str) -> Measured:
    """The loop that delivery is measured by."""
    told = found.python("posting", f"{url}/events", str(found.size.events), str(CONNECTIONS), "uvloop", *certificate)
    figures = json.loads(told.output)
    return Measured(figures["seconds"], figures["cpu"], told.peak, "")


def minute(found: Bench) -> None:
    """What a week's backfill costs a small server: the CPU of a minute at 60 a minute."""
    file = found.exports(1_000)["csv"]
    with process.start(SandboxOptions(port=0, limit=60)) as running:
        token = {"SENDER_API_TOKEN": running.token}
        short, long = (
            found.run(file, "--for", f"{seconds}s", url=running.url, ends=3, environment=token) for seconds in (15, 75)
        )
    seconds = long.seconds - short.seconds
    share = (long.cpu - short.cpu) / seconds
    found.lines.append(f"| `run` at 60 a minute | | {seconds:.0f} | | {long.peak >> 20} | {share:.2%} of a core |")
