"""Fault injection, counted per rule in the order of requests."""

from __future__ import annotations

from msgspec import Struct

from dbc_iac.emulator.world import FaultSpec


class _Rule(Struct):
    fault: FaultSpec
    seen: int = 0

    def fits(self, op: str, target: str, client: str) -> bool:
        fault = self.fault
        return fault.op in {op, "*"} and fault.target in {target, ""} and fault.client in {client, ""}


class Faults:
    """Active rules."""

    def __init__(self, rules: tuple[FaultSpec, ...] = ()) -> None:
        self._rules = [_Rule(r) for r in rules]

    def add(self, fault: FaultSpec) -> None:
        self._rules.append(_Rule(fault))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def all(self) -> list[FaultSpec]:
        return [rule.fault for rule in self._rules]

    def next(self, op: str, target: str = "", client: str = "") -> FaultSpec | None:
        """Fault of this request, which counts for every rule that matches."""
        chosen: FaultSpec | None = None
        for rule in self._rules:
            if not rule.fits(op, target, client):
                continue
            rule.seen += 1
            if rule.fault.nth <= rule.seen < rule.fault.nth + rule.fault.times:
                chosen = chosen or rule.fault
        return chosen
