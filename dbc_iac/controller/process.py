"""The process of a worker: its signals, its notifications and its web server."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from procrastinate import exceptions

from dbc_iac.controller.client import database_url, schema_of
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.notifications import notifier
from dbc_iac.controller.worker import Worker, WorkerOptions

__all__ = ["WorkerOptions", "run_worker"]


def _unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception of a task that nobody awaits, but not of the database: the worker reports those."""
    if not isinstance(context.get("exception"), psycopg.Error | exceptions.ProcrastinateException):
        loop.default_exception_handler(context)


async def run_worker(fleet: Fleet, environ: Mapping[str, str], options: WorkerOptions) -> None:
    """Work until SIGTERM or Ctrl-C. Raises DiagnosticError if the fleet is refused or has no database at the start."""
    for library in ("procrastinate", "psycopg"):  # the worker reports the problems of both
        logging.getLogger(library).addHandler(logging.NullHandler())
        logging.getLogger(library).propagate = False
    url = await asyncio.to_thread(database_url, fleet, environ)
    options.schema = schema_of(environ)
    worker = Worker(fleet, url, options)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unretrieved)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.drain)
    async with AsyncExitStack() as beside:
        notifying = await beside.enter_async_context(notifier(fleet, environ, options.notify))
        if notifying is not None:
            options.ended.append(notifying.ended)
        if options.listen:
            from dbc_iac.controller.web.server import serving

            await beside.enter_async_context(serving(worker, options, environ))
        await worker.run()
