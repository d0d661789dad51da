"""What a name on the command line means: a document, what it is bound to, or a raw id on a node of the project."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import click

from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import vms
from dbc_iac.api.outcome import Done
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import problem
from dbc_iac.cli.recovery import confirm
from dbc_iac.cli.workspace import Workspace
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.node import node_reach
from dbc_iac.kinds.reach import Reach
from dbc_iac.plan import Session
from dbc_iac.state import State

T = TypeVar("T")
_NODE_ID = re.compile(r"[0-9a-f]{64}")
_TASK_ID = re.compile(r"[0-9A-Za-z]{20,22}")
POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """An object, and how it is reached. `address`: of the document that manages it, empty where none does."""

    reach: Reach
    id: str
    address: str = ""


class Scope:
    """The project of one invocation, its state as it is, and its ways to the API."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.workspace = Workspace.load(app)
        self.workspace.check().raise_errors()

    @cached_property
    def state(self) -> State:
        return self.workspace.recorded()

    def work(self, task: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        return self.workspace.work(task, self.state)

    # -- nodes -------------------------------------------------------------------------------------

    def nodes(self, name: str = "") -> list[Reach]:
        """The Node documents, or the one that is meant. Raises DiagnosticError."""
        inventory = self.workspace.inventory
        if not name:
            return [node_reach(r.name, inventory, None) for r in inventory.of("Node")]
        return [self.node(name)]

    def node(self, name: str) -> Reach:
        """A Node by its name, address or node id; of an id without a document with the project's one identity."""
        inventory = self.workspace.inventory
        plain = name.removeprefix("Node/")
        if inventory.find("Node", plain) is not None:
            return node_reach(plain, inventory, None)
        for resource in inventory.of("Node"):
            if getattr(resource.spec, "id", "") == name:
                return node_reach(resource.name, inventory, None)
        return Reach(name, self._node_id(name, "Node"), self._only_identity(), inventory.clients)

    def images(self, reach: Reach) -> Reach:
        """The same node through the client node for image centres."""
        return through_image_client(reach, self.workspace.inventory)

    def client(self) -> Reach:
        """The client nodes themselves."""
        return Reach("client", "", self._only_identity(optional=True), self.workspace.inventory.clients)

    def _node_id(self, name: str, kind: str) -> str:
        if not _NODE_ID.fullmatch(name):
            known = ", ".join(r.name for r in self.workspace.inventory.of(kind)) or "none"
            raise problem(
                "unknown-name", f"there is no {kind} {name}", f"Known: {known}; or give its id, 64 hex digits."
            )
        return name

    def _only_identity(self, *, optional: bool = False) -> str:
        names = list(self.workspace.loaded.project.identities)
        if len(names) != 1 and not optional:
            raise problem("which-identity", "the project has several identities", "Write a document for this node.")
        return names[0]

    # -- VMs and what has documents ----------------------------------------------------------------

    def bound(self, kind: str, name: str) -> Place | None:
        """What a document is bound to, by its name or address."""
        address = f"{kind}/{name.removeprefix(f'{kind}/')}"
        binding = self.state.bindings.get(address)
        if binding is not None:
            return Place(Reach.from_json(binding.where), binding.id, address)
        if self.workspace.inventory.find(kind, name.removeprefix(f"{kind}/")) is not None:
            raise problem("not-applied", f"{address} is not there yet", "Apply it first.")
        return None

    def managed(self, kind: str, identity: str) -> str:
        """The address that has this id, empty where none has."""
        return next((a for a, b in self.state.bindings.items() if b.kind == kind and b.id == identity), "")

    def vm(self, name: str) -> Place:
        """A VM by the name of its document, or by its task id, which is looked for on every Node."""
        if (place := self.bound("VirtualMachine", name)) is not None:
            return place
        if (address := self.managed("VirtualMachine", name)) and (found := self.bound("VirtualMachine", address)):
            return found
        if not _TASK_ID.fullmatch(name):
            raise problem("unknown-name", f"there is no VM {name}", "Give a document's name, or a task id.")

        async def find(session: Session) -> Place | None:
            for reach in self.nodes():
                listing = await vms.list_vms(session.connect(reach))
                if isinstance(listing, Done) and any(v.task_id == name for v in listing.value):
                    return Place(reach, name)
            return None

        found = self.work(find)
        if found is None:
            raise problem("unknown-name", f"no Node of the project has a VM {name}", "See `dbc-iac vm list`.")
        return found

    def manager(self, name: str) -> Reach:
        inventory = self.workspace.inventory
        resource = inventory.find("BareMetalManager", name.removeprefix("BareMetalManager/"))
        if resource is None:
            raise problem("unknown-name", f"there is no BareMetalManager {name}", "Give a document's name.")
        return kind_of("BareMetalManager").reach(resource, inventory)

    def instance(self, name: str) -> Reach:
        """A rented server: by its BareMetalInstance, or by its node id with the project's one identity."""
        inventory = self.workspace.inventory
        resource = inventory.find("BareMetalInstance", name.removeprefix("BareMetalInstance/"))
        if resource is not None:
            known = {a: {"id": b.id} for a, b in self.state.bindings.items()}
            from dataclasses import replace

            return kind_of("BareMetalInstance").reach(resource, replace(inventory, known=known))
        return Reach(name, self._node_id(name, "BareMetalInstance"), self._only_identity(), inventory.clients)

    # -- before something is changed ---------------------------------------------------------------

    def consent(self, yes: bool, question: str) -> None:
        if not yes:
            confirm(self.app, question)

    def warn_managed(self, address: str, what: str) -> None:
        """What is changed by hand and managed by a manifest is drift, which the next apply mends."""
        if address:
            self.app.report(
                [
                    Diagnostic(
                        "managed",
                        Severity.WARNING,
                        f"{address} is managed: {what}",
                        remedy="Change its manifest where this is to last.",
                        address=address,
                    )
                ]
            )


def connect(session: Session, place: Place) -> Channel:
    return session.connect(place.reach)


def wait_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--wait", is_flag=True, help="Wait until it is done (ten minutes at most).")(command)
