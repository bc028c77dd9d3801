"""gcp-storage-emulator in a process of its own: ``python -m tests.support.google_storage PORT BUCKET``.

It needs one: pyarrow asks for an object's content while it holds Python's lock (`pyarrow.NativeFile.closed`), so that a
server in the same process can never answer.
"""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def google_storage(bucket: str) -> Iterator[str]:
    """The emulator's host and port, for as long as the context lasts; ``bucket`` is there and empty."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", __name__, str(port), bucket]
    folder = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield f"127.0.0.1:{port}"
        process.stdin.close()


def serve(port: int, bucket: str) -> None:
    """Serve until standard input ends, as it does with the process that started this one."""
    from gcp_storage_emulator.server import create_server

    # The emulator answers one request at a time, and pyarrow makes the next before it has read the last to its end.
    http.server.HTTPServer = http.server.ThreadingHTTPServer  # type: ignore[misc]
    with create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket):
        print("ready", flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
