"""Problems as data, and the exit codes. Imports nothing of the project; everything else may import this.

A `Diagnostic` is a value: what is wrong (`summary`, one fixed terse line), why (`detail`, full sentences), what to
do (`remedy`), and where (`source`). Nothing here prints; `dbc_iac.views` does. A secret must never be put into any
of these texts.

    DiagnosticError            an operation cannot go on; carries every problem found, not the first
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import PurePath


class ExitCode(IntEnum):
    """What a process of dbc-iac ends with. The one list of them."""

    OK = 0
    ERROR = 1
    CHANGES_PENDING = 2
    CONFIGURATION = 3
    AUTHORISATION = 4
    REFUSED = 5
    LOCKED = 6
    PARTIAL = 7
    INTERRUPTED = 8
    BUG = 70


class Severity(StrEnum):
    """How much a problem weighs: errors stop the run, warnings and notes do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class SourceRange:
    """A span of a text file. Lines and columns count from 1, columns in characters; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains a problem, such as the first of two duplicate keys."""

    message: str
    source: SourceRange


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem.

    `code` is stable, kebab-case and documented (`unknown-field`); `address` is `Kind/name` where a resource is
    concerned; `exit_code` is what the process ends with when this is the gravest problem.
    """

    code: str
    severity: Severity
    summary: str
    detail: str = ""
    remedy: str = ""
    source: SourceRange | None = None
    related: tuple[Related, ...] = ()
    address: str | None = None
    exit_code: ExitCode = ExitCode.CONFIGURATION


class DiagnosticError(Exception):
    """Stops an operation; carries all its problems. `exit_code` is that of the gravest."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        if not diagnostics:
            raise ValueError("an error without a diagnostic")
        super().__init__("; ".join(d.summary for d in diagnostics))
        self.diagnostics = diagnostics

    @property
    def exit_code(self) -> ExitCode:
        errors = [d.exit_code for d in self.diagnostics if d.severity is Severity.ERROR]
        return max(errors, default=ExitCode.ERROR)


REPORT = "Please report it, with the command. DBC_IAC_DEBUG=1 shows where it happened."
"""The remedy of a fault of ours."""


def place_of(error: BaseException) -> str:
    """The type of an exception and where it was raised. Not its message, which could hold anything."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {PurePath(where.filename).name}:{where.lineno}"


@dataclass(slots=True)
class Diagnostics:
    """A list that problems are collected in while work goes on. Duplicates are dropped, order is kept."""

    items: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self.items:
            self.items.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.items if d.severity is Severity.ERROR)

    def raise_errors(self) -> None:
        """Raise `DiagnosticError` with everything collected if any of it is an error."""
        if self.errors:
            raise DiagnosticError(*self.items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
