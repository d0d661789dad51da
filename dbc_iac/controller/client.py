"""Access of the commands to the database of a fleet."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from dbc_iac.controller.database import SCHEMA, conninfo
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.store import Store
from dbc_iac.diagnostics import failure
from dbc_iac.manifest.secrets import SecretResolver
from dbc_iac.secret import SecretText

T = TypeVar("T")
SCHEMA_VARIABLE = "DBC_IAC_CONTROLLER_SCHEMA"
"""Name of a variable with another schema than the default."""


def database_url(fleet: Fleet, environ: Mapping[str, str]) -> SecretText:
    """The URL of the database of a fleet. Raises DiagnosticError if its secret cannot be read."""
    return SecretResolver(environ, fleet.directory).resolve(fleet.spec.database)


def schema_of(environ: Mapping[str, str]) -> str:
    """The schema of the controller's tables. Raises DiagnosticError for a name that would need quotes."""
    name = environ.get(SCHEMA_VARIABLE) or SCHEMA
    if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", name):
        summary = f"{SCHEMA_VARIABLE} is no name of a schema"
        remedy = "Use lower-case letters, digits and _."
        raise failure("database-schema", summary, remedy=remedy)
    return name


async def on_store(fleet: Fleet, environ: Mapping[str, str], task: Callable[[Store], Awaitable[T]]) -> T:
    """The result of a task on the store of a fleet. Raises DiagnosticError."""
    async with Store.open(conninfo(database_url(fleet, environ), schema_of(environ)), size=1) as store:
        return await task(store)
