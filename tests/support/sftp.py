"""A real SFTP server on loopback, in this process; the user's ~/.ssh knows it and has a key for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

import asyncssh
import pytest
from sshfs import SSHFileSystem


@dataclass(frozen=True)
class Sftp:
    """The server, and the directory of this machine that it shows."""

    root: Path
    port: int

    def address(self, path: str) -> str:
        """Of a file or directory on it."""
        return f"sftp://tests@127.0.0.1:{self.port}/{path}"

    def put(self, path: str, data: bytes) -> str:
        """Store a file; returns its address."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return self.address(path)


@contextmanager
def sftp_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sftp]:
    """The server for as long as the context lasts."""
    root, ssh = home / "sftp", home / "sftp-home" / ".ssh"
    (root / "drops").mkdir(parents=True)
    ssh.mkdir(parents=True, mode=0o700)
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user_key.write_private_key(ssh / "id_ed25519")
    user_key.write_public_key(ssh / "authorized")
    monkeypatch.setenv("HOME", str(ssh.parent))
    connections: list[asyncssh.SSHServerConnection] = []
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(ssh / "authorized"),
            server_factory=partial(_Connection, connections),
            sftp_factory=partial(asyncssh.SFTPServer, chroot=os.fsencode(root)),
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        port = server.get_port()
        public = host_key.export_public_key().decode()
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
        yield Sftp(root, port)
    finally:
        asyncio.run_coroutine_threadsafe(_close(server, connections), loop).result(30)
        SSHFileSystem.clear_instance_cache()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Connection(asyncssh.SSHServer):
    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)


async def _close(server: asyncssh.SSHAcceptor, connections: list[asyncssh.SSHServerConnection]) -> None:
    server.close()
    await server.wait_closed()
    for connection in connections:
        connection.abort()
        await connection.wait_closed()
