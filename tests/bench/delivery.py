"""What happens from the first request on: `importer run` beside bare loops over the same connections and sink."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from importer.sandbox import SandboxOptions, process
from tests.bench import peers
from tests.bench.processes import Measured, sink
from tests.bench.table import Bench, beside, part

CONNECTIONS = 16


def plain(found: Bench, url: str) -> None:
    """Over HTTP, with the parts alone, and in a rehearsal."""
    count, file = found.size.events, found.exports(found.size.events)["csv"]
    kinds = ("asyncio", "loop", "plan", "deliver", "report", "run", "sandbox", "lane")
    seen: dict[str, list[Measured]] = {kind: [] for kind in kinds}
    lane = long_lane(file)
    for _ in range(found.size.rounds):
        seen["asyncio"].append(bare(found, url, "asyncio"))
        seen["loop"].append(bare(found, url, "uvloop"))
        parts = json.loads(found.python("stages", str(file), str(found.mapping), url).output)["stages"]
        for name in ("plan", "deliver", "report"):
            seen[name].append(part(parts[name]))
        seen["run"].append(found.run(file, url=url))
        seen["sandbox"].append(found.run(file, "--sandbox"))
        seen["lane"].append(found.run(lane, url=url))
    words = {
        "asyncio": "bare aiohttp loop, asyncio",
        "loop": "bare aiohttp loop, uvloop",
        "plan": "plan alone",
        "deliver": "deliver alone",
        "report": "report alone",
        "run": "`run`, whole, to a sink",
        "sandbox": "`run --sandbox`, whole",
        "lane": "`run`, a tenth of all events one subscriber's",
    }
    for kind in kinds:
        found.add(words[kind], count, seen[kind], beside(seen[kind], seen["loop"], "the bare loop"))


def encrypted(found: Bench) -> None:
    """Over TLS, on both event loops."""
    if not (openssl := shutil.which("openssl")):
        return
    certificate, key = found.home / "certificate.pem", found.home / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = [openssl, "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    count, file = found.size.events, found.exports(found.size.events)["csv"]
    loops: dict[str, list[Measured]] = {"asyncio": [], "uvloop": []}
    runs = []
    with sink(str(certificate), str(key)) as port:
        url = f"https://localhost:{port}/v2"
        for _ in range(found.size.rounds):
            for loop, figures in loops.items():
                figures.append(bare(found, url, loop, str(certificate)))
            runs.append(found.run(file, url=url, environment={"SSL_CERT_FILE": str(certificate)}))
    for loop, figures in loops.items():
        found.add(f"bare aiohttp loop over TLS, {loop}", count, figures, beside(figures, loops["uvloop"], "that loop"))
    found.add("`run` over TLS, whole, to a sink", count, runs, beside(runs, loops["uvloop"], "that loop"))


def bare(found: Bench, url: str, loop: str, *certificate: str) -> Measured:
    """The loop that delivery is measured by."""
    told = found.python("posting", f"{url}/events", str(found.size.events), str(CONNECTIONS), loop, *certificate)
    figures = json.loads(told.output)
    return Measured(figures["seconds"], figures["cpu"], told.peak, "")


def long_lane(file: Path) -> Path:
    """The same export, but a tenth of its rows one customer's."""
    path = file.with_name("lane.csv")
    with file.open(encoding="utf-8") as rows, path.open("w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            cells = row.split(",")
            if number and number % 10 == 0:
                cells[1:3] = ['"one"', '"one@example.com"']
            out.write(",".join(cells))
    return path


def sandbox(found: Bench) -> None:
    """How much the sandbox can take: validating, and recording what arrives."""
    options = SandboxOptions(port=0, limit=0, events=str(found.home / "arrived.jsonl"))
    figures = []
    for _ in range(found.size.rounds):
        with process.start(options) as running:
            words = (str(running.port), running.token, str(running.pid), str(found.size.events))
            figures.append(part(json.loads(found.python("hammer", *words).output)))
    found.add("the sandbox alone", found.size.events, figures, "its own CPU")


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
    found.lines.append(f"| `run` at 60 a minute | | {seconds:.0f} | 1 | | {long.peak >> 20} | {share:.2%} of a core |")


def others(found: Bench, url: str) -> None:
    """The peers, once each and on fewer rows: the best of them takes minutes for what takes seconds here."""
    count = min(found.size.events, 20_000)
    file = found.exports(count)["csv"]
    for peer in peers.PEERS:
        told = peers.measure_peer(peer, file, f"{url}/events", found.home)
        if isinstance(told, str):
            found.lines.append(f"| {peer.package} | | | | | | {told} |")
        else:
            found.add(peer.package, count, [told])


def wrk(url: str) -> str:
    """A line about what a C program gets out of the same sink."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d3", f"{url}/events"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", told)
    return f"| wrk, same sink | | 3 | {float(rate):,.0f} | | | |"
