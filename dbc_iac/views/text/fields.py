"""Lines of a changed field: old and new value, with names of machines in place of ids, and the effect on the object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.json import Json
from dbc_iac.plan.model import Action, Change, FieldChange, Plan
from dbc_iac.views.text.lines import Line, Tone
from dbc_iac.views.wording import some

_WIDEST = 100
"""Characters of a list on one line; a longer list has one entry per line."""
MEMBERS = 12
"""Names of members of a group on one line."""
_VALUES = 20
"""Differing values of a group without `--full`."""
_INDENT = " " * 6
EFFECTS = {"replace": "forces replacement", "offline": "needs the VM off", "cold-boot": "needs a restart"}
"""Consequences of a changed field for its object, by its behaviour; none for a change in place."""


def named(plan: Plan) -> Plan:
    """The plan with the names of the machines of its changes in place of their ids of 64 digits."""
    names: dict[Json, str] = {}
    for route in (r for c in plan.changes for r in (c.old_placement.route, c.placement.route) if r):
        names[route.get("target")] = Address(route.get("name")).name
    changes: list[Change] = []
    for change in plan.changes:
        fields = tuple(_named(field, names) for field in change.fields)
        changes.append(change if fields == change.fields else replace(change, fields=fields))
    return replace(plan, changes=tuple(changes))


def _named(field: FieldChange, names: Mapping[Json, str]) -> FieldChange:
    """The field itself if it holds no id: copies of all fields would take a kilobyte for each VM."""
    before, after = (names.get(v) if isinstance(v, str) else None for v in (field.before, field.after))
    if not before and not after:
        return field
    return replace(field, before=before or field.before, after=after or field.after)


def value_text(value: Json) -> str:
    """Value of a field on one line."""
    if value is None or value == []:
        return "(none)"
    if isinstance(value, list):
        return "[" + ", ".join(value_text(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if value == "" else str(value)


def new_field_lines(field: FieldChange) -> Iterator[Line]:
    """Lines of a field of a new resource."""
    short = "(secret)" if field.secret else value_text(field.after)
    if len(short) <= _WIDEST or not isinstance(field.after, list):
        yield Line(f"{_INDENT}{field.path}: {short}")
        return
    entries = _entries(field.after)
    yield Line(f"{_INDENT}{field.path}: {_count(entries)}")
    yield from (Line(f"{_INDENT}  - {entry}") for entry in entries)


def changed_field_lines(field: FieldChange) -> Iterator[Line]:
    """Lines of a changed field with its effect; of a long list only the removed and added entries, in order."""
    mark = f"  ({EFFECTS[field.behaviour]})" if field.behaviour in EFFECTS else ""
    if not is_long_list(field):
        yield Line(f"{_INDENT}{field.path}: {step_text(field)}{mark}")
        return
    parts = list_difference(field)
    yield Line(f"{_INDENT}{field.path}: {parts.before} -> {parts.after}{mark}")
    for sign, entry in parts.entries:
        yield Line(f"{_INDENT}  {sign} {entry}", Tone.REMOVED if sign == "-" else Tone.ADDED)


def common_field_lines(alike: tuple[FieldChange, ...], action: Action, names: Sequence[str]) -> Iterator[Line]:
    """Lines of one field of many changes: the value they share, or one line per value with the members that have it.
    `names`: of the members, in the order of `alike`."""
    first = alike[0]
    if len({step_text(f) for f in alike}) == 1:
        yield from (new_field_lines if action is Action.CREATE else changed_field_lines)(first)
        return
    members: dict[str, list[str]] = {}
    for field, name in zip(alike, names, strict=True):
        members.setdefault(value_text(field.after) if action is Action.CREATE else step_text(field), []).append(name)
    marked = action is not Action.CREATE and first.behaviour in EFFECTS
    yield Line(f"{_INDENT}{first.path}:" + (f"  ({EFFECTS[first.behaviour]})" if marked else ""))
    for value, having in list(members.items())[:_VALUES]:
        yield Line(f"{_INDENT}  {some(having, MEMBERS)}: {value}")
    if len(members) > _VALUES:
        yield Line(f"{_INDENT}  ... and {len(members) - _VALUES:,} other values (--full shows them)")


def step_text(field: FieldChange) -> str:
    """Old and new value on one line."""
    return "(secret, differs)" if field.secret else f"{value_text(field.before)} -> {value_text(field.after)}"


class ListDifference(Struct, frozen=True):
    """Number of entries before and after, and the removed (`-`) and added (`+`) entries in order."""

    before: str
    after: str
    entries: tuple[tuple[str, str], ...]

    @property
    def gone(self) -> tuple[str, ...]:
        return tuple(entry for sign, entry in self.entries if sign == "-")

    @property
    def come(self) -> tuple[str, ...]:
        return tuple(entry for sign, entry in self.entries if sign == "+")


def is_long_list(field: FieldChange) -> bool:
    """Whether a field is a list too long for one line."""
    return not field.secret and isinstance(field.after or field.before, list) and len(step_text(field)) > _WIDEST


def list_difference(field: FieldChange) -> ListDifference:
    """Difference of a list field."""
    before, after = _entries(field.before), _entries(field.after)
    found: list[tuple[str, str]] = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            found += [("-", entry) for entry in before[i:j]] + [("+", entry) for entry in after[k:m]]
    return ListDifference(_count(before), _count(after), tuple(found))


def _entries(value: Json) -> list[str]:
    return [value_text(v) for v in value] if isinstance(value, list) else []


def _count(entries: list[str]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
