"""Validation of a plain tree by a pydantic model, with errors as diagnostics. Independent of the kinds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, Diagnostics, Severity
from dbc_iac.manifest.numbers import NumberText, TextOfNumber
from dbc_iac.manifest.secrets import LITERAL
from dbc_iac.manifest.source_map import Path, SourceMap
from dbc_iac.manifest.validators import WRONG

M = TypeVar("M", bound=BaseModel)
Placed = Callable[[Diagnostic, Path, Any], Diagnostic | None]
"""Moves the problem of a value at a path to the origin of that value; None drops the problem."""
_MAX_SHOWN = 30
"""Maximum length of a value in a summary, in characters."""


def parse(
    model: type[M],
    value: Any,
    marks: SourceMap,
    at: Path,
    found: Diagnostics,
    address: str | None = None,
    placed: Placed | None = None,
) -> M | None:
    """Validate a plain tree at path `at` of its document: the model, or None if there are problems.

    In mappings of fields, `x-` keys only carry YAML anchors and are dropped. `placed` moves each problem to the origin
    of its value.
    """
    try:
        return model.model_validate(_texts(value))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        unknown = [_path(e, value) for e in problems if e["type"] == "extra_forbidden"]
        if anchors := [path for path in unknown if str(path[-1]).startswith("x-")]:
            return parse(model, _without(value, anchors), marks, at, found, address, placed)
        relevant = _relevant(problems, value)
        misspelled = {m for e in relevant if e["type"] == "extra_forbidden" if (m := _meant(model, _path(e, value)))}
        for details in relevant:
            if details["type"] == "missing" and _path(details, value) in misspelled:
                continue
            problem: Diagnostic | None = _diagnostic(model, details, value, marks, at, address)
            if placed is not None and problem is not None:
                path = _path(details, value)
                problem = placed(problem, path, _at(value, path))
            if problem is not None:
                found.add(problem)
        return None


def _without(value: Any, paths: list[Path], here: Path = ()) -> Any:
    """Copy of a tree without the keys at these paths."""
    if isinstance(value, dict):
        return {k: _without(v, paths, (*here, k)) for k, v in value.items() if (*here, k) not in paths}
    if isinstance(value, list):
        return [_without(v, paths, (*here, i)) for i, v in enumerate(value)]
    return value


def _texts(value: Any) -> Any:
    """Convert numbers with a fraction to text: no field is a fraction, many are text."""
    if isinstance(value, NumberText):
        return TextOfNumber(value)
    if isinstance(value, dict):
        return {k: _texts(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_texts(v) for v in value]
    return value


def _relevant(errors: list[ErrorDetails], value: Any) -> list[ErrorDetails]:
    """Errors to report: for a union, only the most specific error per path; for a text, its allowed words.

    Where the value is a mapping or list that one branch accepts, errors of branches that expect a scalar are dropped;
    and where an entry is invalid, that there is none.
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
    return [e for p, e in best.items() if p not in inner or not _follows(e, _at(value, p))]


def _follows(error: ErrorDetails, given: Any) -> bool:
    """Whether an error follows from one inside of its value."""
    kinds = {"string_type", "int_type", "literal_error", "too_short"}
    return error["type"] in kinds and isinstance(given, dict | list)


def _path(error: ErrorDetails, value: Any) -> Path:
    """Path of an error, without the names that pydantic adds for branches of a union.

    A part that exists in the value is a key; of the others, only the name of a missing field is kept.
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
    field = error.get("ctx", {}).get("at") if error["type"] == WRONG else None
    return (*path, *str(field).split(".")) if field else tuple(path)


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
        given = _at(value, path)
        close = difflib.get_close_matches(str(given), [a.strip() for a in allowed.replace(" or ", ",").split(",")], 1)
        remedy = f"Did you mean {close[0]}?" if close else f"Use {allowed}."
        shown = isinstance(given, str | int) and len(str(given)) <= _MAX_SHOWN
        summary = f"{dotted} is {given}, expected {allowed}" if shown else f"{dotted}: expected {allowed}"
        detail = ""
        if len(summary) > MAX_SUMMARY:
            summary, detail = f"{dotted}: invalid value" + (f" {given}" if shown else ""), f"Expected {allowed}."
        return Diagnostic(
            "invalid-value", Severity.ERROR, summary, detail, remedy, source=marks.value(here), address=address
        )
    if kind == LITERAL:
        problem = context.get("summary", "literal secret; expected a reference")
        return Diagnostic(
            "literal-secret", Severity.ERROR, f"{dotted}: {problem}",
            "If the value was committed, it remains in the history of the repository: replace the secret.",
            str(context.get("remedy", "Write {env: NAME}, {file: PATH} or {exec: [PROGRAM, ...]}.")), marks.value(here),
            address=address,
        )  # fmt: skip
    message, detail, remedy = _message(error, _at(value, path))
    if str(_at(value, path)).startswith("${"):
        remedy = 'Write a template in quotes and two braces, such as "{{ var.NAME }}".'
    summary = f"{dotted or 'spec'}: {message}"
    if len(summary) > MAX_SUMMARY:
        summary, detail = f"{dotted}: invalid value", f"{message[0].upper()}{message[1:]}. {detail}".rstrip()
    return Diagnostic(
        "invalid-value", Severity.ERROR, summary, detail, remedy, marks.value(here), address=address
    )  # fmt: skip


_MAPPING = ("expected a mapping", "Write one `name: value` per line below the key.")
_LIST = ("expected a list", "Write [a, b], or one `- item` per line.")
_WHOLE = ("expected a whole number", "Write digits without quotes, such as 4.")
_NUMBER = ("expected a number", "Write digits, such as 2.5.")
_FLAG = ("expected true or false", "Write true or false, without quotes.")
_MESSAGES = {
    "string_type": ("expected text", "Put it in quotes."),
    "string_unicode": ("expected text", "Remove the surrogate characters."),
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE, "int_parsing_size": _WHOLE,
    "finite_number": _WHOLE, "float_type": _NUMBER, "float_parsing": _NUMBER,
    "bool_type": _FLAG, "bool_parsing": _FLAG, "model_type": _MAPPING,
    "model_attributes_type": _MAPPING, "dict_type": _MAPPING, "tuple_type": _LIST, "list_type": _LIST,
    "too_short": ("must not be empty", "Add at least one entry."),
    "string_too_short": ("must not be empty", "Write a value, or remove the field."),
}  # fmt: skip
_FALLBACK = "Correct the value; docs/kinds.md describes the field."


def _message(error: ErrorDetails, given: Any) -> tuple[str, str, str]:
    """Message, detail and remedy of an error, in terms of YAML rather than Python."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == WRONG:
        return error["msg"], str(context["detail"]), str(context["remedy"])
    if kind == "string_type" and isinstance(given, list | dict):
        return "expected text", "", f"Write one value, not a {'list' if isinstance(given, list) else 'mapping'}."
    if kind in {"bool_type", "bool_parsing"} and given in ("yes", "no", "on", "off"):
        remedy = f"Write {'true' if given in ('yes', 'on') else 'false'}."
        return _FLAG[0], "YAML 1.2 reads yes, no, on and off as text.", remedy
    if kind == "too_short" and given == "":
        kind = "string_too_short"
    if kind in {"too_long", "string_too_long"} and isinstance(given, str):
        return f"{len(given)} characters, at most {context.get('max_length')} allowed", "", "Shorten the value."
    fallback = (error["msg"].removeprefix("Value error, ").removeprefix("Input should be "), _FALLBACK)
    message, remedy = _MESSAGES.get(kind, fallback)
    return message, "", remedy


def hide_literals(found: Diagnostics, sources: dict[str, str]) -> None:
    """Mask literal secrets in the source texts: any diagnostic of the same line quotes that line."""
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


_ABOVE_SPEC = {
    "forEach": "Move forEach to the top of the document, beside `spec:`.",
    "labels": "Move labels below `metadata:`.",
}
"""Remedies of keys that a document has outside of `spec`."""


def _unknown(model: type[BaseModel], path: Path, marks: SourceMap, here: Path, address: str | None) -> Diagnostic:
    meant = _meant(model, path)
    remedy = f"Did you mean {meant[-1]}?" if meant else f"Use one of: {', '.join(sorted(_fields(model, path[:-1])))}."
    if address is not None and len(path) == 1 and path[0] in _ABOVE_SPEC:
        remedy = _ABOVE_SPEC[str(path[0])]
    return Diagnostic(
        "unknown-field", Severity.ERROR, f"unknown field {path[-1]}", remedy=remedy, source=marks.key(here),
        address=address,
    )  # fmt: skip


def _meant(model: type[BaseModel], path: Path) -> Path:
    """Path of the field that a misspelled one most resembles; empty if there is none."""
    close = difflib.get_close_matches(str(path[-1]), _fields(model, path[:-1]), 1)
    return (*path[:-1], close[0]) if close else ()


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """Field names of the model at a path."""
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
    """Model of an annotation such as `Part` or `Part | None`; None for `dict[str, Part]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) not in {Union, UnionType, Annotated}:
        return None
    return next((m for a in get_args(annotation) if (m := _model(a)) is not None), None)


def _element(annotation: Any) -> Any:
    """Element type of a mapping or list annotation; None for other annotations."""
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
