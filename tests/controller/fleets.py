"""Fleet files of tests, and stores on a real PostgreSQL server, each in a schema of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dbc_iac.controller.database import conninfo
from dbc_iac.controller.fleet import Fleet, load_fleet
from dbc_iac.controller.store import Store
from dbc_iac.secret import SecretText
from tests.state.servers import postgres

T = TypeVar("T")


def document(*stacks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Fleet document with one source `infra`."""
    return {
        "apiVersion": "dbc-iac/v1",
        "kind": "Fleet",
        "metadata": {"name": "research"},
        "spec": {
            "database": {"env": "DBC_IAC_DATABASE"},
            "sources": {"infra": {"git": "file:///srv/infra.git"}},
            "stacks": list(stacks) or [{"name": "lab", "source": "infra"}],
            **spec,
        },
    }


def fleet(directory: Path, *stacks: dict[str, Any], name: str = "research", **spec: Any) -> Fleet:
    """A Fleet file that was written and read."""
    value = document(*stacks, **spec)
    value["metadata"]["name"] = name
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(value))
    return load_fleet(path, {})


def new_schema() -> str:
    return f"test_{uuid.uuid4().hex}"


def info(schema: str) -> str:
    """Settings for a connection to a schema of the tests' server."""
    return conninfo(SecretText(postgres.address()), schema)


def on_store(task: Callable[[Store], Awaitable[T]], schema: str = "") -> T:
    """The result of a task on a store; a new one without `schema`."""

    async def run() -> T:
        async with Store.open(info(schema or new_schema())) as store:
            return await task(store)

    return asyncio.run(run())
