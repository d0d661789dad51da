"""One field of a change as text: what it was, what it becomes, by which rule, and whether the world moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from dbc_iac.json import Json
from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.views.grouping import some
from dbc_iac.views.text.lines import Line, Tone

_WIDEST = 100
"""Characters of a list on one line; a longer one has an entry a line."""
_INDENT = " " * 6


def value_text(value: Json) -> str:
    """A field's value on one line."""
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
    """A field of what is created: there is nothing that it was before."""
    short = "(secret)" if field.secret else value_text(field.after)
    if len(short) <= _WIDEST or not isinstance(field.after, list):
        yield Line(f"{_INDENT}{field.path}: {short}")
        return
    entries = _entries(field.after)
    yield Line(f"{_INDENT}{field.path}: {_count(entries)}")
    yield from (Line(f"{_INDENT}  - {entry}") for entry in entries)


def changed_field_lines(field: FieldChange) -> Iterator[Line]:
    """A field that changes, with its rule. Of a long list only the entries that go and come, in their order."""
    if not is_long_list(field):
        yield Line(f"{_INDENT}{field.path}: {step_text(field)}  {marks(field)}")
        return
    parts = list_difference(field)
    yield Line(f"{_INDENT}{field.path}: {parts.before} -> {parts.after}  {marks(field)}")
    for sign, entry in parts.entries:
        yield Line(f"{_INDENT}  {sign} {entry}", Tone.REMOVED if sign == "-" else Tone.ADDED)


def common_field_lines(alike: tuple[FieldChange, ...], action: Action) -> Iterator[Line]:
    """The same field of many changes: whole where its values are the same, else some of them."""
    first = alike[0]
    if len({step_text(f) for f in alike}) == 1:
        yield from (new_field_lines if action is Action.CREATE else changed_field_lines)(first)
    elif action is Action.CREATE:
        values = list(dict.fromkeys(value_text(f.after) for f in alike))
        yield Line(f"{_INDENT}{first.path}: {len(values):,} different: {some(values)}")
    else:
        steps = list(dict.fromkeys(map(step_text, alike)))
        yield Line(f"{_INDENT}{first.path}: {len(steps):,} different: {some(steps)}  {marks(first)}")


def step_text(field: FieldChange) -> str:
    """What it was and what it becomes, on one line."""
    return "(secret, differs)" if field.secret else f"{value_text(field.before)} -> {value_text(field.after)}"


def marks(field: FieldChange) -> str:
    """By which rule it changes, and whether the world moved."""
    return f"[{field.behaviour}{', drift' if field.drift else ''}]"


@dataclass(frozen=True, slots=True)
class ListDifference:
    """How many entries a list has before and after, and those that go (`-`) and come (`+`), in their order."""

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
    """Whether a field holds a list that is too long for one line."""
    return not field.secret and isinstance(field.after or field.before, list) and len(step_text(field)) > _WIDEST


def list_difference(field: FieldChange) -> ListDifference:
    """Of a field that holds lists."""
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
