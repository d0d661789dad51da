"""`rclone serve s3`: a real S3 server that looks at no condition of a write. Started for one test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.state.servers.s3 import BUCKET, KEYS


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Its address; it has one bucket."""
    (directory / BUCKET).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(Path(sys.executable).parent / "rclone"), "serve", "s3", "--addr", address, "--config", "/dev/null"]
    login = ["--auth-key", ",".join(KEYS.values()), str(directory)]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([*command, *login], stdout=log, stderr=log)
    try:
        while not _answers(address):
            assert server.poll() is None, (directory / "log").read_text()
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def _answers(address: str) -> bool:
    try:
        httpx.get(f"http://{address}/", trust_env=False)
    except httpx.TransportError:
        return False
    return True
