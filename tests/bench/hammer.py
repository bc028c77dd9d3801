"""Posts to a sandbox over blocking sockets, which costs less than the sandbox: ``hammer PORT TOKEN PID EVENTS``.

Prints, as JSON, the seconds it took and the CPU seconds of the process PID meanwhile (Linux alone tells them).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from tests.bench.posting import BODY

CONNECTIONS = 16


def request(token: str, number: int) -> bytes:
    """One event, head and body."""
    body = BODY % (number, number, number)
    head = (
        f"POST /v2/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n"
    )
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def cpu(pid: str) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(port: str, token: str, pid: str, events: str) -> None:
    """Measure."""
    requests = [request(token, number) for number in range(int(events))]
    connections = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(CONNECTIONS)]
    used, began = cpu(pid), time.perf_counter()
    for at in range(0, len(requests), CONNECTIONS):
        busy = connections[: len(requests) - at]
        for connection, content in zip(busy, requests[at:], strict=False):
            connection.sendall(content)
        for connection in busy:
            if not connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                raise SystemExit("the sandbox does not accept what it should")
    print(json.dumps([time.perf_counter() - began, cpu(pid) - used]))  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
