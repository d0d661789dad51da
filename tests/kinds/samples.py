"""Manifests of all kinds from the types of their fields, and the goals and requests of their changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from msgspec import Struct

from dbc_iac.api.channel import Channel
from dbc_iac.api.outcome import NotSent
from dbc_iac.json import Json
from dbc_iac.kinds import MODELS, Inventory, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.framework.goal import ActContext, Goal, Needs
from dbc_iac.kinds.framework.importable import nested
from dbc_iac.kinds.framework.kind import Kind
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import SpecField
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.secret import SecretText
from tests.kinds.shown import FILE, SNAPSHOT, RecordingChannel, details, reader

IN_PLACE = {Behaviour.ONLINE, Behaviour.OFFLINE, Behaviour.COLD_BOOT, Behaviour.RUNNING, Behaviour.ONCE}
_TRIGGER = "a trigger: its change makes a call, of which it is no part"
NOT_SENT = {
    "BareMetalInstance.nextBoot.trigger": _TRIGGER,
    "BareMetalInstance.resetOn": _TRIGGER,
    "Image.refresh": _TRIGGER,
    "Image.retain": "decides in the client whether the file is deleted with its resource",
    "ImageExport.refresh": _TRIGGER,
    "Snapshot.trigger": _TRIGGER,
    "VirtualMachine.restartOn": _TRIGGER,
}
"""Fields that no request has, with the reason."""
_TEXTS = [
    "https://one.example", "https://two.example", "first.qcow2", "second.qcow2", "training", "research", "/data/first",
    "/data/second", "5" * 64, "6" * 64, "112", "113", "16Gi", "20Gi", "192.168.66.0/24", "192.168.67.0/24", "198.51.100.8",
    "198.51.100.9", "tcp,80", "tcp,81", "239.1.2.3:5000", "239.1.2.3:5001", "in,ssh,all,0.0.0.0/0,accept",
    "in,rdp,all,0.0.0.0/0,accept", "20000-29999", "30000-39999", "on", "off", "linux", "windows", "legacy", "uefi",
    "virtio", "e1000", "none", "pxe",
]  # fmt: skip
_LISTS: list[Json] = [[text] for text in _TEXTS]
_POOL: list[Json] = [*_TEXTS, *_LISTS, 2, 3, 6000, 6001, False, True]
"""Values to choose from. A type of a new form needs two of its values here."""


def _fits(field: SpecField, value: Json) -> bool:
    try:
        field.adapter.validate_python(value)
    except ValueError:
        return False
    return True


@cache
def samples(field: SpecField) -> tuple[Any, Any]:
    """Two values of a field."""
    if field.reference is not None:
        return "a", "b"
    if field.rule.secret:
        return {"env": "FIRST"}, {"env": "SECOND"}
    found = [value for value in _POOL if _fits(field, value)][:2]
    assert len(found) == 2, f"give {field.path} two values in _POOL of tests/kinds/samples.py"
    return found[0], found[1]


@cache
def _resource(kind: Kind[Any], name: str, second: frozenset[str]) -> Resource[Any]:
    """A resource with a value for each field; those of how it is reached only if they are required or in `second`."""
    left_out = {f.path for f in kind.fields if f.rule.behaviour is Behaviour.ACCESS and not f.info.is_required()}
    values = {f.path: samples(f)[f.path in second] for f in kind.fields if f.path not in left_out - second}
    return Resource(f"{kind.name}/{name}", kind.name, name, kind.spec.model_validate(nested(kind.fields, values)))


class Change(Struct, frozen=True):
    """A resource with the second sample in the fields `second`, and the first in all others."""

    kind: Kind[Any]
    second: frozenset[str] = frozenset()

    @property
    def resource(self) -> Resource[Any]:
        return _resource(self.kind, "a", self.second)

    @property
    def inventory(self) -> Inventory:
        others: dict[str, Resource[Any]] = {}
        for kind in map(kind_of, MODELS):
            given = (f for f in kind.fields if f.rule.behaviour is not Behaviour.ACCESS or f.info.is_required())
            changed = frozenset(f.path for f in given if f.reference is None)
            others |= {r.address: r for r in (_resource(kind, "a", frozenset()), _resource(kind, "b", changed))}
        return Inventory("lab", "00", "main", {**others, self.resource.address: self.resource})

    def task(self, applied: Mapping[str, Json] | None = None, changed: Iterable[str] = ()) -> GoalInput:
        """The input of its goals: of its creation, or of a change of what was applied."""
        resource, inventory, kind = self.resource, self.inventory, self.kind
        parent = ""
        if kind.parent_field:
            [field] = (f for f in kind.fields if f.path == kind.parent_field and f.reference is not None)
            assert field.reference is not None
            host = inventory.resources[f"{field.reference.kind}/{field.read(resource.spec)}"]
            parent = kind_of(host.kind).identity(host, inventory, 1)
        secrets = {f.path: samples(f)[f.path in self.second] for f in kind.secret_fields}
        given = "6" * 64 if kind.ids_in_paths else FILE
        return GoalInput(
            resource.address, kind.route(resource, inventory), kind.identity(resource, inventory, 1) or given, "", 1,
            parent, "", kind.desired(resource, inventory), applied or {}, {"dataDisk.path": FILE}, tuple(changed),
            secrets, known=frozenset({"/data/vm_1.qcow2"}),
        )  # fmt: skip

    @property
    def location(self) -> tuple[str, str]:
        """Target and host of the object."""
        task = self.task()
        return task.route.target, task.parent_id

    def creation(self) -> list[Goal]:
        return list(self.kind.create(self.task()))

    def update(self, changed: str) -> list[Goal]:
        """Goals of a change of one field, from its other sample."""
        before = Change(self.kind, self.second ^ {changed})
        return list(self.kind.update(self.task(before.task().desired, [changed])))

    def window(self, goals: list[Goal]) -> list[Goal]:
        """Goals with the power cycle of a host for those that need it."""
        if not isinstance(self.kind, Host) or all(goal.needs is not Needs.OFF for goal in goals):
            return goals
        return [self.kind.power(self.task(), to="off"), *goals, self.kind.power(self.task(), to="on")]

    def requests(self, goals: Iterable[Goal]) -> list[object]:
        """Requests of goals: target, rent order, path and body of each."""
        return asyncio.run(self._requests(goals))

    async def _requests(self, goals: Iterable[Goal]) -> list[object]:
        opened: list[tuple[Route, RecordingChannel]] = []

        async def connect(route: Route) -> Channel:
            opened.append((route, RecordingChannel(NotSent("only recorded"))))
            return cast(Channel, opened[-1][1])

        secrets = {f.path: SecretText(samples(f)[f.path in self.second]["env"]) for f in self.kind.secret_fields}
        shown = reader(vm_status="running", vm=details(("vdb", 10, FILE)), snapshots=(SNAPSHOT,))
        for goal in goals:
            await goal.act(ActContext(connect, secrets), shown)
        return [(route.target, route.rent_order, *call) for route, channel in opened for call in channel.calls]


def is_sent(kind: Kind[Any], field: SpecField) -> bool:
    """Whether a request of its object's creation must have a field."""
    return field.rule.behaviour is not Behaviour.ACCESS and f"{kind.name}.{field.path}" not in NOT_SENT


def fields_of_all_kinds() -> Iterator[tuple[Kind[Any], SpecField]]:
    for kind in map(kind_of, MODELS):
        yield from ((kind, field) for field in kind.fields)
