"""A server on loopback that sends what a test says, byte by byte, with or without TLS."""

from __future__ import annotations

import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Send = Callable[[bytes], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def certificate(directory: Path, name: str = "localhost") -> Path:
    """A certificate of 127.0.0.1 that nobody has signed, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(whose, whose, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@contextmanager
def raw_server(
    *parts: bytes | Callable[[Send], None], certificate: Path | None = None, greets: bool = False
) -> Iterator[tuple[str, list[bytes]]]:
    """Its address, and the heads of the requests. Each is answered with the parts in order: bytes are sent; a function
    sends what it likes. The connection is closed after them, where they do not say how long they are.

    `greets`: it answers before anything is asked.
    """
    seen: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while greets or (head := self._head()):
                    seen.append(b"" if greets else head)
                    for part in parts:
                        part(self.request.sendall) if callable(part) else self.request.sendall(part)
                    if greets or not any(b"Content-Length" in part for part in parts if isinstance(part, bytes)):
                        return

        def _head(self) -> bytes:
            """The body is read, too: else the end of the connection would be a reset."""
            lines = list(takewhile(lambda line: line.strip(), self.rfile))
            sizes = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
            self.rfile.read(sum(sizes))
            return b"".join(lines)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            line, address = super().get_request()
            return (line if context is None else context.wrap_socket(line, server_side=True)), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that ends a connection is what is tested."""

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
