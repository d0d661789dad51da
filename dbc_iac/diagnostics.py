"""Diagnostics and exit codes. Imports nothing of the project; every other module may import it.

A `Diagnostic` has a `summary` (at most 72 characters, with the values), a `detail` (facts and their origin), a
`remedy` (one imperative) and a `source` (file and range). `dbc_iac.views` prints them. No text may contain a secret.

    DiagnosticError            stops an operation; carries every problem found, not only the first
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum, StrEnum
from pathlib import PurePath

from msgspec import Struct, field

MAX_SUMMARY = 72
"""Maximum length of a summary, in characters."""


class ExitCode(IntEnum):
    """Exit codes of the process."""

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
    """Severity of a diagnostic: errors stop the run, warnings and notes do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class SourceRange(Struct, frozen=True, order=True, rename="camel", forbid_unknown_fields=True):
    """A span of a text file. Lines and columns count from 1, columns in characters; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Locator = Callable[[tuple[str | int, ...]], SourceRange | None]
"""Source range of a value of a file, by its path."""


class Related(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Additional source range of a problem, such as the first of two duplicate keys."""

    message: str
    source: SourceRange


class Diagnostic(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One problem.

    `code` is stable, kebab-case and documented (`unknown-field`); `address` is the `Kind/name` of the resource, if any;
    `exit_code` is the exit code of the process when no diagnostic has a higher one.
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
    """Failure of an operation with all its diagnostics. `exit_code`: the highest of them."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        if not diagnostics:
            raise ValueError("an error without a diagnostic")
        super().__init__("; ".join(d.summary for d in diagnostics))
        self.diagnostics = diagnostics

    @property
    def exit_code(self) -> ExitCode:
        errors = [d.exit_code for d in self.diagnostics if d.severity is Severity.ERROR]
        return max(errors, default=ExitCode.ERROR)


def failure(
    code: str,
    summary: str,
    detail: str = "",
    remedy: str = "",
    source: SourceRange | None = None,
    *,
    address: str | None = None,
    exit_code: ExitCode = ExitCode.CONFIGURATION,
) -> DiagnosticError:
    """An exception with one error."""
    return DiagnosticError(
        Diagnostic(code, Severity.ERROR, summary, detail, remedy, source, address=address, exit_code=exit_code)
    )


REPORT = "Report this bug with the command; DBC_IAC_DEBUG=1 prints the stack trace."
"""Remedy of a bug in dbc-iac."""


def place_of(error: BaseException) -> str:
    """Type and source line of an exception, without its message, which may contain secrets."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {PurePath(where.filename).name}:{where.lineno}"


class Diagnostics(Struct, eq=False):
    """Collector of diagnostics, in order and without duplicates. `error_count`: number of errors among them."""

    _items: dict[Diagnostic, None] = field(default_factory=dict)
    error_count: int = 0

    def add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self._items:
            self._items[diagnostic] = None
            self.error_count += diagnostic.severity is Severity.ERROR

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def replace_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep these diagnostics only."""
        self._items = dict.fromkeys(diagnostics)
        self.error_count = len(self.errors)

    def take_from(self, position: int) -> list[Diagnostic]:
        """Remove the diagnostics from a position on, and return them."""
        taken = [self._items.popitem()[0] for _ in range(len(self._items) - position)]
        self.error_count -= sum(d.severity is Severity.ERROR for d in taken)
        return taken[::-1]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self._items if d.severity is Severity.ERROR)

    def raise_errors(self) -> None:
        """Raise `DiagnosticError` with all diagnostics if one of them is an error."""
        if self.error_count:
            raise DiagnosticError(*self._items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
