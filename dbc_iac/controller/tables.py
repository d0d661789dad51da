"""Access to the tables of the controller through a pool of connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, ValidationError

from dbc_iac import __version__
from dbc_iac.controller.database import UPGRADE, Connection, NewerVersionError, database_errors
from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, ExitCode, Severity

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Values = Sequence[Any] | Mapping[str, Any]


class Tables:
    """Base of the classes with queries. Methods raise DiagnosticError for problems of the database."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self.pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with database_errors(), self.pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection

    async def _execute(self, query: LiteralString, values: Values = ()) -> int:
        """Returns the number of rows that were changed."""
        async with self._connection() as connection:
            return (await connection.execute(query, values)).rowcount

    async def _rows(self, query: LiteralString, values: Values = ()) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def _all(self, kind: type[T], query: LiteralString, values: Values = ()) -> list[T]:
        async with self._connection() as connection:
            return await records(connection, kind, query, values)

    async def _one(self, kind: type[T], query: LiteralString, values: Values = ()) -> T | None:
        return next(iter(await self._all(kind, query, values)), None)


async def records(connection: Connection, kind: type[T], query: LiteralString, values: Values) -> list[T]:
    """Rows of a query as records."""
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        return await (await cursor.execute(query, values)).fetchall()


def stored(kind: type[M], name: str, spec: Any) -> M:
    """A stack or source as a worker has registered it. Raises NewerVersionError if this one cannot read it.

    `name`: of the stack or source, in a message.
    """
    try:
        return kind.model_validate(spec)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        detail = f"dbc-iac {__version__} cannot read its {field}."
        summary = f"{name} was registered by a newer dbc-iac"[:MAX_SUMMARY]
        raise NewerVersionError(
            Diagnostic("newer-version", Severity.ERROR, summary, detail, UPGRADE, exit_code=ExitCode.REFUSED)
        ) from None


async def forget_removed(connection: Connection) -> None:
    """Delete removed stacks that have no open run."""
    await connection.execute(
        "delete from stacks s where removed "
        "and not exists (select from runs where runs.stack = s.name and outcome is null)"
    )
