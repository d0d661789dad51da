"""Status of the addresses of an apply while it runs."""

from __future__ import annotations

from msgspec import Struct, field

from dbc_iac.apply.goal_result import GoalResult
from dbc_iac.apply.vm_restart import VmStarter
from dbc_iac.diagnostics import Diagnostic


class ApplyStatus(Struct):
    """Status of each address while the apply runs."""

    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    not_started: dict[str, str] = field(default_factory=dict)
    powered_off: dict[str, str] = field(default_factory=dict)
    unstarted: dict[str, tuple[VmStarter, GoalResult]] = field(default_factory=dict)
    """VMs that this apply powered off and could not start yet."""
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def bad(self) -> set[str]:
        """Addresses with goals that are not met."""
        return {*self.failed, *self.waiting, *self.not_started, *self.unstarted}

    def word(self, address: str) -> str:
        """Status of an address, for those that depend on it."""
        if address in {*self.failed, *self.unstarted}:
            return "failed"
        return "is not complete" if address in self.waiting else "was not started"

    def event(self, address: str) -> str:
        """Kind of the event that reports it."""
        if address in {*self.failed, *self.unstarted}:
            return "step-failed"
        return "step-waiting" if address in self.waiting else "step-skipped"

    def why(self, address: str) -> str:
        """Reason why goals of an address are not met."""
        found = (said.get(address) for said in (self.failed, self.not_started, self.waiting))
        unstarted = self.unstarted.get(address)
        return next((text for text in found if text), not_started(unstarted[1]) if unstarted else "failed")


def not_started(result: GoalResult) -> str:
    return f"could not be started again: {result.text}"
