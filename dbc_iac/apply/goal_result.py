"""Results of goals, and proofs of calls of unknown outcome. Values; no I/O."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.diagnostics import REPORT, Diagnostic, DiagnosticError, ExitCode, place_of
from dbc_iac.kinds.framework.goal import Goal

_LOG = logging.getLogger("dbc_iac.apply")


class Verdict(StrEnum):
    MET = "met"
    FAILED = "failed"
    NOT_STARTED = "not-started"
    WAITING = "waiting"
    UNPROVEN = "unproven"


class GoalResult(Struct, frozen=True):
    """Result of a goal.

    `broken`: the object exists and is unusable (a failed creation). `doubtful`: a call for it has an unknown outcome
    and may run late, though the goal is met. `lost`: the node accepted the call and its job failed. `queued`: the goal
    and the number of its accepted call that may come yet. `diagnostics`: problems that are reported as they are.
    `unreadable`: its target could not be read for as long as is waited for that.
    """

    verdict: Verdict
    text: str = ""
    exit_code: ExitCode = ExitCode.ERROR
    broken: bool = False
    remedy: str = ""
    doubtful: bool = False
    lost: bool = False
    detail: str = ""
    queued: tuple[Goal, int] | None = None
    unreadable: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()


class Proof(StrEnum):
    """Proof of the outcome of a blind call."""

    HAPPENED = "happened"
    NEVER = "never"
    """It was not carried out and will not be: it may be sent again."""
    NOT_ALLOWED = "not-allowed"
    """Only a boot would prove it, and the VM is to stay off."""
    NOT_POSSIBLE = "not-possible"
    """Only a boot would prove it, and the VM could not be started, or not powered off again."""


UNPROVEN: Mapping[Proof, str] = {
    Proof.NOT_ALLOWED: "Apply again with --settle to boot the VM once, which proves the outcome. "
    'Or set `power: "on"`: the next power-off window proves it.',
    Proof.NOT_POSSIBLE: "Apply again once the VM can be started: its next boot proves the outcome.",
}
"""Remedies where there is no proof."""


def failed_with(error: Exception) -> GoalResult:
    """The result of a goal whose code raised: a diagnostic stays what it is, and anything unexpected is a bug."""
    if isinstance(error, UnsafeWireValue):
        remedy = "Correct the value in the manifest."
        return GoalResult(Verdict.FAILED, f"not sent: {error}", ExitCode.CONFIGURATION, remedy=remedy)
    if isinstance(error, DiagnosticError):
        summary = error.diagnostics[0].summary
        return GoalResult(Verdict.FAILED, summary, error.exit_code, diagnostics=error.diagnostics)
    _LOG.debug("unexpected exception in a goal", exc_info=error)
    return GoalResult(Verdict.FAILED, f"this is a bug in dbc-iac ({place_of(error)})", ExitCode.BUG, remedy=REPORT)
