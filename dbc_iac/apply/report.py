"""Events and report of an apply. Values; no I/O, no secrets."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.plan.model import Action


class Event(Struct, frozen=True):
    """An event of an apply. `at`: seconds since its start.

    Kinds: `step-started`, `step-done`, `step-failed`, `step-waiting`, `step-skipped`, `call`, `waiting`, `goal-met`,
    `window-opened`, `window-closed`, `barrier`, `note`.
    """

    kind: str
    address: str
    text: str
    at: float
    detail: Mapping[str, Json] = field(default_factory=dict)


class Report(Struct, frozen=True):
    """Report of an apply, by address; mappings give the reason.

    `waiting` are those whose effect had been asked for and had not been seen when patience ended; `powered_off` are VMs
    that are off because of this run.
    """

    __repr__ = object.__repr__  # asyncio.run formats the result of its coroutine, and drops it

    done: Mapping[str, Action] = field(default_factory=dict)
    """Finished changes: action by address."""
    failed: Mapping[str, str] = field(default_factory=dict)
    not_started: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    powered_off: Mapping[str, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    unknown: tuple[str, ...] = ()
    """Addresses that could not be read by the plan, and were not changed."""
    interrupted: bool = False
    destroy: bool = False
    seconds: float = 0.0
    calls: int = 0

    @property
    def exit_code(self) -> ExitCode:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.waiting or self.powered_off or (self.done and (self.failed or self.not_started)):
            return ExitCode.PARTIAL
        codes = [d.exit_code for d in self.diagnostics if d.severity is Severity.ERROR]
        if codes or self.failed or self.not_started:
            return max(codes, default=ExitCode.ERROR)
        if any(d.exit_code is ExitCode.AUTHORISATION for d in self.diagnostics):
            return ExitCode.AUTHORISATION
        return ExitCode.PARTIAL if self.unknown else ExitCode.OK
