"""Plans with the names of machines in place of their ids of 64 digits. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.json import Json
from dbc_iac.plan.model import Change, FieldChange, Plan


def named(plan: Plan) -> Plan:
    """The plan with the names of the machines of its changes."""
    names: dict[Json, str] = {}
    for route in (r for c in plan.changes for r in (c.old_placement.route, c.placement.route) if r):
        names[route.get("target")] = Address(route.get("name")).name
    return replace(plan, changes=tuple(_named(c, names) for c in plan.changes)) if names else plan


def _named(change: Change, names: Mapping[Json, str]) -> Change:
    fields = tuple(_shown(field, names) for field in change.fields)
    same = all(one is other for one, other in zip(fields, change.fields, strict=True))
    return change if same else replace(change, fields=fields)


def _shown(field: FieldChange, names: Mapping[Json, str]) -> FieldChange:
    """The field itself if it holds no id: copies of all fields would take a kilobyte for each VM."""
    before, after = (names.get(v) if isinstance(v, str) else None for v in (field.before, field.after))
    if not before and not after:
        return field
    return replace(field, before=before or field.before, after=after or field.after)
