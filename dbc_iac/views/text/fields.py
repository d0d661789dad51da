"""Lines of a changed field: old and new value, and the effect on the object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from msgspec import Struct

from dbc_iac.json import Json
from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.views.grouping import some
from dbc_iac.views.text.lines import Line, Tone

_WIDEST = 100
"""Characters of a list on one line; a longer list has one entry per line."""
MEMBERS = 12
"""Names of members of a group on one line."""
_VALUES = 20
"""Differing values of a group without `--full`."""
_INDENT = " " * 6
_EFFECTS = {"replace": "forces replacement", "offline": "needs the VM off", "cold-boot": "needs a restart"}


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
    mark = f"  ({effect(field)})" if field.behaviour in _EFFECTS else ""
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
    marked = action is not Action.CREATE and first.behaviour in _EFFECTS
    yield Line(f"{_INDENT}{first.path}:" + (f"  ({effect(first)})" if marked else ""))
    for value, having in list(members.items())[:_VALUES]:
        yield Line(f"{_INDENT}  {some(having, MEMBERS)}: {value}")
    if len(members) > _VALUES:
        yield Line(f"{_INDENT}  ... and {len(members) - _VALUES:,} other values (--full shows them)")


def step_text(field: FieldChange) -> str:
    """Old and new value on one line."""
    return "(secret, differs)" if field.secret else f"{value_text(field.before)} -> {value_text(field.after)}"


def effect(field: FieldChange) -> str:
    """Consequence of a changed field for its object; empty for a change in place."""
    return _EFFECTS.get(field.behaviour, "")


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
