"""The HTTP server in the process of a worker."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from dbc_iac.api.http import is_loopback
from dbc_iac.controller.web.access import web_secrets
from dbc_iac.controller.web.app import Web, application
from dbc_iac.controller.web.metrics import Metrics
from dbc_iac.controller.worker import Worker, WorkerOptions
from dbc_iac.diagnostics import MAX_SUMMARY, failure

_BACKLOG = 128
_MOST_CONNECTIONS = 200


class _Server(uvicorn.Server):
    """A server that leaves the signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(worker: Worker, options: WorkerOptions, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Serve a worker's fleet at `options.listen` within a context.

    Raises DiagnosticError if the address cannot be used, or a secret cannot be read.
    """
    host, port = _address(options.listen)
    secrets = await asyncio.to_thread(web_secrets, worker.fleet, environ)
    if secrets.token is None and not is_loopback(host):
        summary = f"listening on {host} needs web.token"[:MAX_SUMMARY]
        remedy = "Set `web.token` in the Fleet file, or listen on 127.0.0.1."
        raise failure("web-token", summary, remedy=remedy)
    metrics = Metrics()
    options.ended.append(metrics.ended)
    app = application(Web(worker.fleet, secrets, metrics, lambda: worker.store, options.notify))
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    # Bugs are reported by the application; what uvicorn cancels at its end is none.
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False
    with _listening(host, port) as found:
        options.notify(f"listening on http://{options.listen}")
        running = asyncio.create_task(server.serve(sockets=[found]))
        try:
            yield
        finally:
            server.should_exit = True
            await running


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        remedy = "Write an address and a port, such as 127.0.0.1:8080."
        raise failure("listen", "invalid value of --listen", remedy=remedy)
    return host, int(port)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        summary = f"cannot listen on {host}:{port}"[:MAX_SUMMARY]
        detail = f"{error.strerror}." if isinstance(error, OSError) and error.strerror else ""
        remedy = "Choose an address of this machine and a free port."
        raise failure("listen", summary, detail, remedy) from None
