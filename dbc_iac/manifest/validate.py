"""Pydantic's errors as diagnostics: at the value's place, in readable words, with a remedy. Knows no kind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity
from dbc_iac.manifest.numbers import NumberText, TextOfNumber
from dbc_iac.manifest.secrets import LITERAL
from dbc_iac.manifest.source_map import Path, SourceMap
from dbc_iac.manifest.validators import WRONG

M = TypeVar("M", bound=BaseModel)


def parse(
    model: type[M], value: Any, marks: SourceMap, at: Path, found: Diagnostics, address: str | None = None
) -> M | None:
    """A model from a plain tree that stands at `at` in its document; None where there are problems.

    Wherever keys are the names of fields, `x-` keys are a place for anchors.
    """
    try:
        return model.model_validate(_texts(value))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        if anchors := [p for p in (_path(e, value) for e in problems if e["type"] == "extra_forbidden") if _parked(p)]:
            return parse(model, _without(value, anchors), marks, at, found, address)
        for details in _worth_saying(problems, value):
            found.add(_diagnostic(model, details, value, marks, at, address))
        return None


def _parked(path: Path) -> bool:
    return str(path[-1]).startswith("x-")


def _without(value: Any, paths: list[Path], here: Path = ()) -> Any:
    """A tree without the keys at these paths."""
    if isinstance(value, dict):
        return {k: _without(v, paths, (*here, k)) for k, v in value.items() if (*here, k) not in paths}
    if isinstance(value, list):
        return [_without(v, paths, (*here, i)) for i, v in enumerate(value)]
    return value


def _texts(value: Any) -> Any:
    """Numbers that were written with a fraction are given as text: no field takes one, and many take text."""
    if isinstance(value, NumberText):
        return TextOfNumber(value)
    if isinstance(value, dict):
        return {k: _texts(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_texts(v) for v in value]
    return value


def _worth_saying(errors: list[ErrorDetails], value: Any) -> list[ErrorDetails]:
    """Of a union's errors, one for each place: the one that goes deepest; of a text, the words it could have been.

    Where a mapping or list was taken for what it is, the branches that wanted a scalar there have nothing to say.
    """
    best: dict[Path, ErrorDetails] = {}
    for error in errors:
        path = _path(error, value)
        known = best.get(path)
        if known is None or len(error["loc"]) > len(known["loc"]):
            best[path] = error
        elif error["type"] == "literal_error" and known["type"] == "int_type" and isinstance(_at(value, path), str):
            best[path] = {**error, "ctx": {"expected": f"a whole number or {error['ctx']['expected']}"}}
    inner = {path[:length] for path in best for length in range(len(path))}
    return [e for p, e in best.items() if p not in inner or not _wanted_a_scalar(e, _at(value, p))]


def _wanted_a_scalar(error: ErrorDetails, given: Any) -> bool:
    return error["type"] in {"string_type", "int_type", "literal_error"} and isinstance(given, dict | list)


def _path(error: ErrorDetails, value: Any) -> Path:
    """Where an error is, without the names that pydantic adds for the branches of a union.

    What leads on in the value is a key, whatever it is called; of the rest only a missing field's name counts.
    """
    path: list[int | str] = []
    loc = error["loc"]
    for index, part in enumerate(loc):
        below = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
        if part in below:
            value = below[part]
        elif error["type"] != "missing" or index < len(loc) - 1:
            continue
        path.append(part)
    meant = error.get("ctx", {}).get("at") if error["type"] == WRONG else None
    return (*path, *str(meant).split(".")) if meant else tuple(path)


def _diagnostic(
    model: type[BaseModel], error: ErrorDetails, value: Any, marks: SourceMap, at: Path, address: str | None
) -> Diagnostic:
    path = _path(error, value)
    here = (*at, *path)
    dotted = ".".join(str(p) for p in path)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(model, path, marks, here, address)
    if kind == "missing":
        source = marks.key(here[:-1]) if len(here) > 1 else marks.value(())
        return Diagnostic(
            "missing-field", Severity.ERROR, f"{dotted} is required", remedy=f"Add `{path[-1]}:`.", source=source,
            address=address,
        )  # fmt: skip
    if kind == "literal_error":
        allowed = str(context.get("expected", "")).replace("'", "")
        close = difflib.get_close_matches(
            str(_at(value, path)), [a.strip() for a in allowed.replace(" or ", ",").split(",")], 1
        )
        remedy = f"Did you mean {close[0]}?" if close else f"Use {allowed}."
        return Diagnostic(
            "invalid-value", Severity.ERROR, f"{dotted} must be {allowed}", remedy=remedy, source=marks.value(here),
            address=address,
        )  # fmt: skip
    if kind == LITERAL:
        return Diagnostic(
            "literal-secret", Severity.ERROR, f"{dotted}: a secret must not stand in a manifest",
            "It may already be in the history of a repository: change it there where it is used.",
            str(context.get("remedy", "Write {env: NAME}, {file: PATH} or {exec: [PROGRAM, ...]}.")), marks.value(here),
            address=address,
        )  # fmt: skip
    message, remedy = _said(error, _at(value, path))
    return Diagnostic(
        "invalid-value", Severity.ERROR, f"{dotted or 'this'}: {message}", remedy=remedy, source=marks.value(here),
        address=address,
    )  # fmt: skip


_MAPPING = ("expected a mapping", "Write its fields below it, one `name: value` a line.")
_LIST = ("expected a list", "Write [a, b], or one `- ` line for each.")
_WHOLE = ("expected a whole number", "Write digits without quotes, such as 4.")
_FLAG = ("expected true or false", "Write true or false, without quotes.")
_SAID = {
    "string_type": ("expected text", "Put it in quotes."),
    "string_unicode": ("expected text", "Remove the halves of characters (surrogates) from it."),
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE, "int_parsing_size": _WHOLE,
    "finite_number": _WHOLE, "bool_type": _FLAG, "bool_parsing": _FLAG, "model_type": _MAPPING,
    "model_attributes_type": _MAPPING, "dict_type": _MAPPING, "tuple_type": _LIST, "list_type": _LIST,
    "too_short": ("must not be empty", "Write at least one."),
    "string_too_short": ("must not be empty; leave it out instead", "Write something, or remove the line."),
}  # fmt: skip
_ANYWAY = "Correct the value; docs/kinds.md says what the field takes."


def _said(error: ErrorDetails, given: Any) -> tuple[str, str]:
    """What is wrong with a value and what to write, in our words where pydantic's are about Python."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == WRONG:
        return error["msg"], str(context["remedy"])
    if kind == "too_short" and given == "":
        kind = "string_too_short"
    if kind in {"too_long", "string_too_long"} and isinstance(given, str):
        return f"at most {context.get('max_length')} characters, and this has {len(given)}", "Shorten it."
    return _SAID.get(kind, (error["msg"].removeprefix("Value error, ").removeprefix("Input should be "), _ANYWAY))


def hide_literals(found: Diagnostics, sources: dict[str, str]) -> None:
    """Blank literal secrets in the texts that diagnostics are shown with: any problem of that line shows the line."""
    for diagnostic in found:
        if diagnostic.code == "literal-secret" and diagnostic.source is not None:
            place = diagnostic.source
            lines = sources.get(place.file, "").splitlines(keepends=True)
            for number in range(place.line, min(place.end_line, len(lines)) + 1):
                line = lines[number - 1]
                text = line.rstrip("\r\n")
                start = place.column - 1 if number == place.line else 0
                end = place.end_column - 1 if number == place.end_line else len(text)
                lines[number - 1] = text[:start] + "*" * len(text[start:end]) + text[end:] + line[len(text) :]
            sources[place.file] = "".join(lines)


def _unknown(model: type[BaseModel], path: Path, marks: SourceMap, here: Path, address: str | None) -> Diagnostic:
    known = _fields(model, path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, 1)
    remedy = f"Did you mean {close[0]}?" if close else f"Known fields: {', '.join(sorted(known))}."
    return Diagnostic(
        "unknown-field", Severity.ERROR, f"there is no field {path[-1]}", remedy=remedy, source=marks.key(here),
        address=address,
    )  # fmt: skip


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The names of the fields of the part at a path."""
    here: Any = model
    for part in path:
        inside = _model(here)
        if inside is not None:
            here = {f.alias or n: f.annotation for n, f in inside.model_fields.items()}.get(str(part))
        else:  # a key of a mapping, or an index of a list
            here = _element(here)
    inside = _model(here)
    return [] if inside is None else [f.alias or n for n, f in inside.model_fields.items()]


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation stands for itself: `Part` and `Part | None`, not `dict[str, Part]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) not in {Union, UnionType, Annotated}:
        return None
    return next((m for a in get_args(annotation) if (m := _model(a)) is not None), None)


def _element(annotation: Any) -> Any:
    """What a mapping or list holds, None of anything else."""
    if get_origin(annotation) in {Union, UnionType, Annotated}:
        return next((e for a in get_args(annotation) if (e := _element(a)) is not None), None)
    arguments = [a for a in get_args(annotation) if a is not Ellipsis]
    return arguments[-1] if arguments else None


def _at(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value
