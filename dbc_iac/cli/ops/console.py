"""Session of an operations command: project, channels, warnings, and the approval of changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from msgspec import Struct, field

from dbc_iac.api.channel import Channel, Connections
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.apply.waiting import Poller
from dbc_iac.cli.app import App
from dbc_iac.cli.approval import confirm
from dbc_iac.cli.failures import unsafe_value
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity, failure
from dbc_iac.kinds import Inventory
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.goal import ActContext
from dbc_iac.kinds.framework.route import Route
from dbc_iac.operations.project import Project
from dbc_iac.secret import SecretText
from dbc_iac.state import State

T = TypeVar("T")


class Console(Struct, dict=True):
    """Session of one command with the API. `yes`: changes are approved."""

    app: App
    project: Project
    connections: Connections
    yes: bool = False
    warnings: list[Diagnostic] = field(default_factory=list)

    @property
    def inventory(self) -> Inventory:
        return self.project.inventory

    @cached_property
    def state(self) -> State:
        """The recorded state, read-only."""
        return self.project.state

    @cached_property
    def reader(self) -> CachedReader:
        return CachedReader(self._connect)

    @cached_property
    def watch(self) -> Poller:
        return Poller(self.reader)

    def channel(self, route: Route) -> Channel:
        """Channel to a target with the credentials of its identity. Raises DiagnosticError."""
        if not route.identity:
            known = ", ".join(self.project.loaded.project.identities)
            raise failure("identity", f"no identity for {route.name}", remedy=f"Use --identity with one of: {known}.")
        return self.project.identities.channel(self.connections, route)

    def public(self, route: Route) -> Channel:
        """Channel to a target without credentials, for public data."""
        return Channel(self.connections, route.target, None, route.clients or self.inventory.clients)

    def client(self, name: str) -> Channel:
        """Channel to a client node itself."""
        return Channel(self.connections, "", None, (name,))

    def context(self, **secrets: SecretText) -> ActContext:
        return ActContext(self._connect, secrets)

    async def _connect(self, route: Route) -> Channel:
        return self.channel(route)

    def warn(self, code: str, summary: str, *, detail: str = "", remedy: str = "", address: str | None = None) -> None:
        """Report a warning: at once for people, before they are asked; at the end with --json."""
        found = Diagnostic(code, Severity.WARNING, summary, detail, remedy, address=address)
        if self.app.json:
            self.warnings.append(found)
        else:
            self.app.report([found])

    @contextmanager
    def changing(self, question: str, command: str) -> Iterator[None]:
        """Ask for approval, then hold the state lock during the calls, so that no apply runs meanwhile."""
        if not self.yes:
            confirm(self.app, question)
        with self.project.locked(command):
            yield


def run(app: App, work: Callable[[Console], Awaitable[T]], *, yes: bool = False) -> T:
    """Run a command with its project. Raises DiagnosticError with the warnings too."""
    project = app.project()
    result: T = app.runtime.run(_inside(app, project, work, yes))
    return result


async def _inside(app: App, project: Project, work: Callable[[Console], Awaitable[T]], yes: bool) -> T:
    async with project.identities.connections() as connections:
        console = Console(app, project, connections, yes)
        try:
            result = await work(console)
        except DiagnosticError as error:
            raise DiagnosticError(*console.warnings, *error.diagnostics) from None
        except UnsafeWireValue as error:
            raise DiagnosticError(*console.warnings, unsafe_value(error)) from None
        app.report(console.warnings)
        return result
