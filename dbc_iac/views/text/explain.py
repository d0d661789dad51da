"""The documentation of a kind or field as text."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.kinds.explain import Explanation, FieldDoc
from dbc_iac.views.text.fields import value_text
from dbc_iac.views.text.lines import Line, Tone


def explanation_lines(found: Explanation) -> Iterator[Line]:
    """The description, then each field: name, type, rule, description."""
    yield Line(f"{found.kind}.{found.path}".rstrip("."), Tone.HEAD)
    if found.description:
        yield Line(f"  {found.description}")
    yield Line()
    for field in found.fields:
        yield Line(f"  {field.path} <{field.type}>{' (required)' if field.required else ''}", Tone.ADDED)
        if text := _text(field):
            yield Line(f"      {text}")


def _text(field: FieldDoc) -> str:
    plain = field.default is not None and field.default not in ("", [], {})
    default = f"; default {value_text(field.default)}" if plain and "default" not in field.description else ""
    rule = f"  [{field.rule}]" if field.rule else ""
    return f"{field.description}{default}{rule}".lstrip("; ")
