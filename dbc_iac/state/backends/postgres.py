"""State in a PostgreSQL database: versions, journal and lease in tables of one schema, a project's own.

Each write is one transaction that locks the lease's row and checks its token: a run whose lock was taken over writes
nothing. The lease is measured by the server's clock. Missing tables are created.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Any, LiteralString, Protocol
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.json import Json
from dbc_iac.secret import SecretText
from dbc_iac.state.backends.backend import LeaseLostError, MovedError, Stored, denied, parse_holder, unreachable
from dbc_iac.state.backends.remote import RemoteBackend, held_until

KEPT = 10
"""Versions that are kept besides the current one."""
DEADLINE = 40
"""Seconds for a connection, and for a statement."""

_TABLES = """
create table if not exists {versions} (
  stack text not null, number bigint not null, serial bigint not null, content bytea not null,
  written timestamptz not null default clock_timestamp(), primary key (stack, number));
create table if not exists {journal} (
  stack text not null, number bigint not null, line bytea not null, primary key (stack, number));
create table if not exists {lease} (
  stack text primary key, token text not null, holder text not null, until timestamptz not null);
"""


class Database(Struct, frozen=True):
    """Address of a schema: a connection URL of libpq without a password, and the password."""

    address: str
    schema: str
    username: str = ""
    password: SecretText | None = None

    def connect(self) -> psycopg.Connection[Any]:
        """Raises OSError, without the password. Omitted settings come from libpq's own (PGHOST)."""
        login: dict[str, Any] = {"client_encoding": "utf8"}  # texts of a database in SQL_ASCII would be bytes
        if self.username:
            login["user"] = self.username
        if self.password is not None:
            login["password"] = self.password.reveal()
        try:
            login |= required_tls(self.address)
            connection = psycopg.connect(self.address, connect_timeout=DEADLINE, autocommit=True, **login)
        except (psycopg.ProgrammingError, ValueError):  # its message may hold the whole URL
            raise unreachable("the address is no connection URL of PostgreSQL") from None
        except psycopg.Error as error:
            raise _as_os_error(error) from None
        try:
            with _in_time(connection):
                connection.execute("select set_config('statement_timeout', %s, false)", (f"{DEADLINE}s",))
                self._make_tables(connection)
        except OSError:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: psycopg.Connection[Any]) -> None:
        """Create missing tables and schema. The right to create them is needed only for that."""
        names = (f'"{self.schema}".lease', f'"{self.schema}"')
        there = connection.execute("select to_regclass(%s)::text, to_regnamespace(%s)::text", names)
        [(tables, schema)] = _rows(there, str | None, str | None)
        if tables is None:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(hashtext('dbc-iac'))")  # one at a time
                if schema is None:
                    connection.execute(_named("create schema if not exists {schema}", self.schema))
                connection.execute(_named(_TABLES, self.schema))


def required_tls(address: str) -> dict[str, str]:
    """Settings of libpq that require TLS, for a server on another machine where nothing else is configured.

    Raises psycopg.ProgrammingError or ValueError for an address that is no connection URL.
    """
    given = conninfo_to_dict(address)
    configured = "sslmode" in given or _default("sslmode") not in {"", "prefer"}
    return {} if configured or _local(given) else {"sslmode": "require"}


def _local(given: Mapping[str, object]) -> bool:
    """Whether libpq connects to a server of this machine. False for a named service, which is in its own file."""
    if given.get("service"):
        return False
    hosts = str(given.get("hostaddr") or _default("hostaddr") or given.get("host") or _default("host"))
    return all(host in {"", "localhost", "127.0.0.1", "::1"} or host[0] in "/@" for host in hosts.split(","))


def _default(name: str) -> str:
    """Default of libpq for an option: from the environment, or from a named service."""
    known = {option.keyword.decode(): option.val or b"" for option in Conninfo.get_defaults()}
    return known.get(name, b"").decode(errors="replace")


_DENIED = re.compile(
    "authentication failed|no password supplied|permission denied|no pg_hba.conf entry|pg_hba.conf rejects|"
    'role "[^"]*" does not exist|is not permitted to log in|must be owner of'
)
"""Messages of a server that denies access, for errors without a code."""


class PostgresBackend(RemoteBackend):
    """State of one stack in a schema."""

    def __init__(self, database: Database, stack: str, token: Callable[[], str]) -> None:
        super().__init__(token)
        self._database = database
        self._stack = stack
        self._using = threading.RLock()  # one transaction at a time on the one connection
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def place(self) -> str:
        split = urlsplit(self._database.address)
        return f"{split.scheme}://{split.netloc}{split.path} ({self._database.schema}.{self._stack})"

    def read(self) -> Stored | None:
        with self._transaction() as ask:
            newest = "select number, content from {versions} where stack = %(stack)s order by number desc limit 1"
            rows = _rows(ask(newest), int, bytes)
        return Stored(rows[0][1], str(rows[0][0])) if rows else None

    def _write(self, content: bytes, serial: int, expected: str | None) -> str:
        with self._transaction() as ask:
            self._hold(ask)
            newest = ask("select max(number) from {versions} where stack = %(stack)s")
            [(there,)] = _rows(newest, int | None)
            if (None if there is None else str(there)) != expected:
                raise MovedError
            number = 0 if there is None else there + 1
            ask(
                "insert into {versions} (stack, number, serial, content) "
                "values (%(stack)s, %(number)s, %(serial)s, %(content)s)",
                number=number, serial=serial, content=content,
            )  # fmt: skip
            ask("delete from {versions} where stack = %(stack)s and number < %(oldest)s", oldest=number - KEPT)
        return str(number)

    def stacks(self) -> list[str] | None:
        with self._transaction() as ask:
            rows = _rows(ask("select distinct stack from {versions} order by stack"), str)
        return [row[0] for row in rows]

    def kept(self) -> list[int]:
        with self._transaction() as ask:
            serials = ask("select distinct serial from {versions} where stack = %(stack)s order by serial")
            rows = _rows(serials, int)
        return [row[0] for row in rows]

    def version_place(self, serial: int) -> str:
        return f"serial {serial} of {self.place}"

    def _read_lines(self) -> list[bytes]:
        with self._transaction() as ask:
            rows = _rows(ask("select line from {journal} where stack = %(stack)s order by number"), bytes)
        return [row[0] for row in rows]

    def _append(self, lines: list[bytes]) -> None:
        with self._transaction() as ask:
            self._hold(ask)
            ask(
                "insert into {journal} (stack, number, line) select %(stack)s, before.last + given.nth, given.line "
                "from (select coalesce(max(number), 0) as last from {journal} where stack = %(stack)s) as before, "
                "unnest(%(lines)s::bytea[]) with ordinality as given (line, nth)",
                lines=lines,
            )

    def _clear(self) -> None:
        with self._transaction() as ask:
            self._hold(ask)
            ask("delete from {journal} where stack = %(stack)s")

    def _acquire(self, token: str, holder: Mapping[str, Json]) -> None:
        self._token = token
        with self._transaction() as ask:
            taken = ask(
                "insert into {lease} as held (stack, token, holder, until) "
                "values (%(stack)s, %(token)s, %(holder)s, clock_timestamp() + make_interval(secs => %(lease)s)) "
                "on conflict (stack) do update set token = excluded.token, holder = excluded.holder, "
                "until = excluded.until where held.until <= clock_timestamp() returning token",
                token=token, holder=json.dumps(dict(holder)), lease=self.lease,
            ).fetchone()  # fmt: skip
        if taken is None:
            self._token = ""
            raise DiagnosticError(held_until(self.holder() or {}, self.place))

    def holder(self) -> Mapping[str, Json] | None:
        with self._transaction() as ask:
            rows = _rows(ask("select holder from {lease} where stack = %(stack)s"), str)
        return parse_holder(rows[0][0]) if rows else None

    def break_lock(self) -> None:
        with self._transaction() as ask:
            ask("delete from {lease} where stack = %(stack)s")

    def _renew(self) -> None:
        with self._transaction() as ask:
            self._hold(ask)
            ask(
                "update {lease} set until = clock_timestamp() + make_interval(secs => %(lease)s) "
                "where stack = %(stack)s",
                lease=self.lease,
            )

    def _release(self) -> None:
        with self._transaction() as ask:
            ask("delete from {lease} where stack = %(stack)s and token = %(token)s", token=self._token)

    def _hold(self, ask: Ask) -> None:
        """Lock the lease's row until the transaction's end. Raises LeaseLostError if it is another run's or missing."""
        own = ask(
            "select 1 from {lease} where stack = %(stack)s and token = %(token)s for update", token=self._token
        ).fetchone()
        if own is None:
            raise LeaseLostError(self.place)

    @contextmanager
    def _transaction(self) -> Iterator[Ask]:
        """A function that executes statements within one transaction. Raises OSError."""
        with self._using:
            if self._connection is None or self._connection.closed:
                self._connection = self._database.connect()
            with _in_time(self._connection), self._connection.transaction():
                yield _Statements(self._connection, self._database.schema, self._stack)


class Ask(Protocol):
    def __call__(self, text: LiteralString, **values: object) -> psycopg.Cursor[Any]: ...


class _Statements(Struct, frozen=True):
    """Executes statements with the names of the tables and the stack filled in."""

    connection: psycopg.Connection[Any]
    schema: str
    stack: str

    def __call__(self, text: LiteralString, **values: object) -> psycopg.Cursor[Any]:
        return self.connection.execute(_named(text, self.schema), {"stack": self.stack, **values})


def _named(text: LiteralString, schema: str) -> sql.Composed:
    tables = {name: sql.Identifier(schema, name) for name in ("versions", "journal", "lease")}
    return sql.SQL(text).format(schema=sql.Identifier(schema), **tables)


@contextmanager
def _in_time(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Limit the time of statements and raise their errors as OSError. The server's own time-out does not cover a broken
    network."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(DEADLINE, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except psycopg.Error as error:
        raise unreachable(f"no answer within {DEADLINE:g} s") if late.is_set() else _as_os_error(error) from None
    except (ValueError, ArithmeticError, RecursionError):  # of a value that is not of the type that the server says
        raise _not_ours() from None
    finally:
        timer.cancel()


def _rows(answer: psycopg.Cursor[Any], *types: type | UnionType) -> list[tuple[Any, ...]]:
    """The rows of an answer. Raises OSError for columns of other types, such as those of another program's tables."""
    rows = answer.fetchall()
    if any(len(row) != len(types) or not all(map(isinstance, row, types)) for row in rows):
        raise _not_ours()
    return rows


def _not_ours() -> OSError:
    return unreachable("its tables are not those of dbc-iac")


def _as_os_error(error: psycopg.Error) -> OSError:
    """An OSError with the first line of PostgreSQL's message."""
    words = str(error).partition("\n")[0] or "it gave no reason"
    refused = isinstance(error, psycopg.errors.InsufficientPrivilege) or _DENIED.search(words)
    return (denied if refused else unreachable)(words)
