"""The database of the controller: a pool of connections to a schema of its own, and its migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from dbc_iac import __version__
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.secret import SecretText
from dbc_iac.state.backends.postgres import required_tls

SCHEMA = "dbc_iac_controller"
TIMEOUT = 10
"""Seconds for a connection, and for a statement."""
_DETECTION = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Each side finds within 25 s that the other is gone: the server then frees the advisory locks of its session."""
_QUEUE = "procrastinate.sql"
UPGRADE = "Install the version that the other workers have; docs/controller.md has the way back."

Connection = psycopg.AsyncConnection[Any]


class NewerVersionError(DiagnosticError):
    """The database has what only a newer dbc-iac knows: a worker ends, and leaves the work to newer ones."""


def conninfo(url: SecretText, schema: str = SCHEMA, *, statement_timeout: int = TIMEOUT) -> str:
    """Settings of libpq for a connection to the schema; `statement_timeout` in seconds, 0: none.

    They may hold a password. Raises DiagnosticError for a text that is no connection URL.
    """
    try:
        given = conninfo_to_dict(url.reveal())
        options = (
            f"{given.get('options') or ''} -c search_path={schema} -c statement_timeout={statement_timeout}s "
            f"{' '.join(f'-c tcp_{name}={value}' for name, value in _DETECTION.items())}"
        )
        settings: dict[str, Any] = {
            "connect_timeout": TIMEOUT,
            "application_name": "dbc-iac controller",
            "target_session_attrs": "read-write",  # not a standby
            "tcp_user_timeout": 25_000,
            **_DETECTION,
            **given,
        }
        settings |= required_tls(url.reveal())
        return make_conninfo("", **{**settings, "client_encoding": "utf8", "options": options.strip()})
    except (psycopg.ProgrammingError, ValueError):  # its message may hold the whole URL
        summary = "the database of the fleet is no connection URL of PostgreSQL"
        remedy = "Write it like postgresql://USER@HOST/DATABASE."
        raise failure("database-url", summary, remedy=remedy) from None


def open_pool(info: str, size: int) -> AsyncConnectionPool[Connection]:
    """A pool of connections that commit each statement. Open it as a context."""
    return AsyncConnectionPool(
        info,
        min_size=1,
        max_size=size,
        open=False,
        timeout=TIMEOUT,
        reconnect_timeout=0,
        configure=_commit_each,
        check=AsyncConnectionPool.check_connection,
    )


async def _commit_each(connection: Connection) -> None:
    """Not as a setting of the pool: procrastinate passes the pool's settings on, with this one of its own."""
    await connection.set_autocommit(True)


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Raise errors of the database as DiagnosticError, with the first line of PostgreSQL's message."""
    try:
        yield
    except PoolTimeout:
        raise DiagnosticError(_problem(f"no connection within {TIMEOUT} s")) from None
    except psycopg.Error as error:
        raise DiagnosticError(_problem(str(error).partition("\n")[0] or type(error).__name__)) from None


def _problem(detail: str) -> Diagnostic:
    return Diagnostic(
        "database",
        Severity.ERROR,
        "cannot use the database of the controller",
        f"{detail}.",
        "Check the server, the address in the variable of `database`, and the rights of its user.",
        exit_code=ExitCode.ERROR,
    )


async def migrate(connection: Connection) -> None:
    """Create or update the tables of the controller and of its queue, one process at a time.

    Where nothing is missing, the right to create them is not needed. Raises NewerVersionError.
    """
    if not _missing(await _applied(connection)):
        return
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")  # the tables may be large, or locked meanwhile
        await connection.execute("select pg_advisory_xact_lock(hashtext('dbc-iac controller'))")
        found = await connection.execute("select current_schema(), current_setting('search_path')")
        [(present, schema)] = await found.fetchall()
        if present is None:
            await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        await connection.execute(
            "create table if not exists migrations "
            "(name text primary key, applied timestamptz not null default clock_timestamp())"
        )
        for name, text in _missing(await _applied(connection)):
            await connection.execute(text)
            await connection.execute("insert into migrations (name) values (%s)", (name,))


async def _applied(connection: Connection) -> set[str]:
    [(there,)] = await (await connection.execute("select to_regclass('migrations') is not null")).fetchall()
    rows = await (await connection.execute("select name from migrations")).fetchall() if there else []
    return {name for (name,) in rows}


def _missing(applied: set[str]) -> list[tuple[str, LiteralString]]:
    """Name and text of each migration that was not applied, in order. Raises NewerVersionError for an unknown one."""
    known = [*_queue_migrations(applied), *_own_migrations()]
    if newer := sorted(applied - {name for name, _ in known}):
        detail = f"It has the tables of {newer[-1]}, which dbc-iac {__version__} does not know."
        summary = "the database of the controller is of a newer dbc-iac"
        raise NewerVersionError(
            Diagnostic("newer-version", Severity.ERROR, summary, detail, UPGRADE, exit_code=ExitCode.REFUSED)
        )
    return [(name, text) for name, text in known if name not in applied]


def _own_migrations() -> list[tuple[str, LiteralString]]:
    files = resources.files("dbc_iac.controller.migrations")
    return sorted((f.name, f.read_text("utf-8")) for f in files.iterdir() if f.name.endswith(".sql"))


def _queue_migrations(applied: set[str]) -> list[tuple[str, LiteralString]]:
    """Those of procrastinate; a new schema gets its whole present schema, and none of its migrations."""
    files = resources.files(_QUEUE) / "migrations"
    texts = sorted((f.name, f.read_text("utf-8")) for f in files.iterdir() if f.name.endswith(".sql"))
    names = [(f"procrastinate {name}", text) for name, text in texts]
    if any(name.startswith("procrastinate ") for name in applied):
        return names
    whole = (resources.files(_QUEUE) / "schema.sql").read_text("utf-8")
    first, *rest = names
    return [(first[0], whole), *((name, "select") for name, _ in rest)]
