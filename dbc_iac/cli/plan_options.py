"""From the options of a command to those of planning."""

from __future__ import annotations

from dbc_iac.cli.options import Selection
from dbc_iac.plan import PlanOptions


def plan_options(selection: Selection, *, destroy: bool = False, offline: bool = False) -> PlanOptions:
    """The options of a plan."""
    return PlanOptions(
        destroy=destroy,
        targets=frozenset(selection.targets),
        excludes=frozenset(selection.exclude),
        offline=offline,
        forget_expired=selection.forget_expired,
        replace=frozenset(selection.replace),
        destroy_identity=frozenset(selection.destroy_identity),
        unprotect=frozenset(selection.unprotect),
        allow_empty=selection.allow_empty,
        max_removals=selection.max_removals,
    )
