"""Plans with the names of machines in place of their ids of 64 digits. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.json import Json
from dbc_iac.plan.model import Change, Plan


def named(plan: Plan) -> Plan:
    """The plan with the names of the machines of its changes."""
    names: dict[Json, str] = {}
    for route in (r for c in plan.changes for r in (c.old_placement.route, c.placement.route) if r):
        names[route.get("target")] = Address(route.get("name")).name
    return replace(plan, changes=tuple(_named(c, names) for c in plan.changes)) if names else plan


def _named(change: Change, names: Mapping[Json, str]) -> Change:
    def shown(value: Json) -> Json:
        return (names.get(value) or value) if isinstance(value, str) else value

    fields = (replace(f, before=shown(f.before), after=shown(f.after)) for f in change.fields)
    return replace(change, fields=tuple(fields)) if change.fields else change
