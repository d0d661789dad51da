"""Faults: what goes wrong with which request. Counted per rule, in the order of requests."""

from __future__ import annotations

from dataclasses import dataclass

from dbc_iac.sim.world import FaultSpec as Fault

__all__ = ["Fault", "Faults"]


@dataclass(slots=True)
class _Rule:
    fault: Fault
    seen: int = 0


class Faults:
    """The rules that are in force."""

    def __init__(self, rules: tuple[Fault, ...] = ()) -> None:
        self._rules = [_Rule(r) for r in rules]

    def add(self, fault: Fault) -> None:
        self._rules.append(_Rule(fault))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._rules.clear()

    def next(self, op: str) -> Fault | None:
        """What happens to this request, which counts for every rule that it matches."""
        chosen: Fault | None = None
        for rule in self._rules:
            if rule.fault.op not in {op, "*"}:
                continue
            rule.seen += 1
            if rule.fault.nth <= rule.seen < rule.fault.nth + rule.fault.times:
                chosen = chosen or rule.fault
        return chosen
