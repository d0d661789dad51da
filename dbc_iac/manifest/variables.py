"""Typed variables: declared in the project file; set by default, environment file, DBC_VAR_*, --var-file or --var.

Later sources of this list override earlier ones. Undeclared variables are refused, because most are misspelled.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct
from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity, SourceRange, failure
from dbc_iac.files.reading import file_problem, read_given, read_inside
from dbc_iac.manifest.numbers import IntegerText, NumberText, TextOfNumber
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.yaml import MAX_BYTES, read_yaml, scalar

_LOG = logging.getLogger("dbc_iac.manifest")
PREFIX = "DBC_VAR_"
Type = Literal["string", "integer", "number", "boolean", "list", "map"]


def _numbers(value: Any) -> Any:
    """A tree with texts of numbers converted back to numbers, as in a variable file."""
    if isinstance(value, TextOfNumber):
        return value.number
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return [_numbers(v) for v in value] if isinstance(value, list) else value


class VariableSpec(BaseModel):
    """A variable that manifests may use as `{{ var.name }}`."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Type = "string"
    default: Annotated[Any, AfterValidator(_numbers)] = Field(
        default=None, description="value if nothing sets the variable; without a default it is required"
    )
    description: str = ""


class Setting(Struct, frozen=True):
    """Value of a variable and its origin."""

    name: str
    value: Any
    origin: str
    source: SourceRange | None = None
    text: bool = False
    """Whether the value is text from outside YAML, to be parsed as the declared type."""


class VariableFile(Struct, frozen=True):
    """A variable file. `root`: the project whose file names it at `place`; None for a file of the command line."""

    path: Path
    root: Path | None = None
    place: SourceRange | None = None

    def read(self) -> bytes:
        """Content of the file. Raises DiagnosticError."""
        try:
            if self.root is None:
                return read_given(self.path, MAX_BYTES)
            return read_inside(self.path, self.root, MAX_BYTES)
        except OSError as error:
            raise DiagnosticError(file_problem(self.path, error, "variable file", self.place)) from None


def settings(
    files: Sequence[VariableFile],
    environ: Mapping[str, str],
    given: Mapping[str, str],
    extra: Sequence[VariableFile],
    texts: dict[str, str],
) -> list[Setting]:
    """All settings, lowest precedence first. `texts` receives the files read. Raises DiagnosticError."""
    found: list[Setting] = []
    for file in files:
        found += _from_file(file, texts)
    found += [
        Setting(k.removeprefix(PREFIX), v, f"environment variable {k}", text=True)
        for k, v in sorted(environ.items())
        if k.startswith(PREFIX)
    ]
    for file in extra:
        found += _from_file(file, texts)
    found += [Setting(k, v, f"--var {k}", text=True) for k, v in given.items()]
    return found


def _from_file(file: VariableFile, texts: dict[str, str]) -> list[Setting]:
    path, data = file.path, file.read()
    texts[str(path)] = data.decode("utf-8", "replace")
    result: list[Setting] = []
    for document in read_yaml(data, str(path)):
        if isinstance(document.value, dict):
            marks: SourceMap = document.marks
            result += [
                Setting(k, v, str(path), marks.key((k,))) for k, v in document.value.items() if not k.startswith("x-")
            ]
        else:
            place = document.marks.value(())
            raise failure(
                "variable-file",
                f"{path} is not a mapping from name to value",
                remedy="Write one `name: value` per line.",
                source=place,
            )
    _LOG.debug("read %s: %d variables", path, len(result))
    return result


def resolve(
    declared: Mapping[str, VariableSpec],
    found: Sequence[Setting],
    problems: Diagnostics,
    where: Callable[[str], SourceRange | None],
) -> dict[str, Setting]:
    """Setting of every declared variable with its typed value; None for an invalid or missing one, which is reported.

    `where` maps a path of the project file to its source range.
    """
    values: dict[str, Setting] = {}
    defaults = [
        Setting(k, v.default, "its default", where(f"variables.{k}.default"))
        for k, v in declared.items()
        if v.default is not None
    ]
    for setting in (*defaults, *found):
        if setting.name not in declared:
            problems.add(_undeclared(setting, declared))
            continue
        try:
            values[setting.name] = replace(setting, value=_typed(setting, declared[setting.name].type))
        except ValueError as error:
            problems.add(
                Diagnostic(
                    "variable-type",
                    Severity.ERROR,
                    f"variable {setting.name}: {error}",
                    f"Set by {setting.origin}.",
                    _remedy(declared[setting.name].type, setting.value),
                    setting.source or where(f"variables.{setting.name}"),
                )
            )
            values[setting.name] = replace(setting, value=None)
    for name in declared:
        if name not in values:
            problems.add(
                Diagnostic(
                    "variable-missing",
                    Severity.ERROR,
                    f"variable {name} is not set",
                    declared[name].description,
                    f"Use --var {name}=VALUE, {PREFIX}{name} or a variable file, or declare a default.",
                    where(f"variables.{name}"),
                )
            )
    return values


_LIKE: Mapping[Type, str] = {
    "string": "Write text, in quotes.",
    "integer": "Write digits, such as 4.",
    "number": "Write a number, such as 1.5.",
    "boolean": "Write true or false.",
    "list": "Write [a, b].",
    "map": "Write {a: 1, b: 2}.",
}


def _remedy(kind: Type, value: Any) -> str:
    """The remedy for a value that is not of this type; a variable that declares no type is text."""
    if kind == "string" and isinstance(value, list | dict):
        return f"Declare `type: {'list' if isinstance(value, list) else 'map'}`, or write text, in quotes."
    return _LIKE[kind]


def _undeclared(setting: Setting, declared: Mapping[str, VariableSpec]) -> Diagnostic:
    close = difflib.get_close_matches(setting.name, declared, 1)
    remedy = f"Did you mean {close[0]}?" if close else "Declare it under variables in the project file."
    summary = f"variable {setting.name} is not declared"
    return Diagnostic(
        "variable-undeclared", Severity.ERROR, summary, f"Set by {setting.origin}.", remedy, setting.source
    )


def _typed(setting: Setting, kind: Type) -> Any:
    """Convert a value to its declared type. Raises ValueError."""
    value = setting.value
    if kind == "string":
        return value.text if isinstance(value, NumberText | IntegerText) else _text(value)
    if setting.text:
        value = scalar(value) if kind in {"integer", "number", "boolean"} else _structure(value)
    expected: dict[str, tuple[type, ...]] = {
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "list": (list,),
        "map": (dict,),
    }
    if not isinstance(value, expected[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise ValueError(f"expected type {kind}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("expected text")


def _structure(text: str) -> Any:
    if re.fullmatch(r"\s*[\[{].*", text, re.DOTALL):
        try:
            documents = read_yaml(text.encode("utf-8", "surrogateescape"), "value")
        except DiagnosticError as error:
            raise ValueError(f"expected a list or a map ({error})") from None
        return documents[0].value if documents else None
    parts = [part.strip() for part in text.split(",")] if text else []
    if "" in parts:
        raise ValueError(f"item {parts.index('') + 1} of the list is empty")
    return [scalar(part) for part in parts]
