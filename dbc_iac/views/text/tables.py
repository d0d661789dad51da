"""Values of the API as tables, as lines of one object, and as JSON without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from pydantic.alias_generators import to_camel

from dbc_iac.json import Json
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import HIDDEN
from dbc_iac.views.text.lines import escaped


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under a header; each cell is escaped, so that no text breaks its row."""
    lines = [[*header], *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(f"{t:<{w}}" for t, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def object_text(title: str, lines: Mapping[str, object]) -> str:
    """One object: a title, and a line per known value."""
    width = max(map(len, lines), default=0)
    shown = (f"  {key:<{width}}  {cell(value)}".rstrip() for key, value in lines.items() if value not in (None, "", ()))
    return "\n".join([cell(title), *shown])


def cell(value: object) -> str:
    """One value in one line, escaped."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Fraction():
            return gib(value)
        case tuple() | list():
            return ", ".join(cell(item) for item in value)
        case _:
            return escaped(str(value))


def gib(size: Fraction | None) -> str:
    """A size as in manifests; fractions have two digits."""
    if size is None:
        return "?"
    return f"{int(size)}Gi" if size.denominator == 1 else f"{float(size):.2f}Gi"


def plain_json(value: object, *, reveal: bool = False) -> Json:
    """A value of the API as JSON: camelCase keys, sizes in GiB; secrets are `***` without `reveal`."""
    match value:
        case SecretText():
            return value.reveal() if reveal else HIDDEN
        case Fraction():
            return int(value) if value.denominator == 1 else round(float(value), 2)
        case Mapping():
            return {str(k): plain_json(v, reveal=reveal) for k, v in value.items()}
        case tuple() | list():
            return [plain_json(item, reveal=reveal) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case Struct():
            return {to_camel(name): plain_json(item, reveal=reveal) for name, item in asdict(value).items()}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def members(value: Any, **more: Json) -> dict[str, Json]:
    """A value of the API as a JSON object, with more keys."""
    shown = plain_json(value)
    return {**(shown if isinstance(shown, dict) else {}), **more}
