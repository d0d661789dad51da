"""Planning: references, refresh, three-way diff, steps, preflight, guardrails. Reads only."""

from dbc_iac.plan.check.references import check_inventory
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.model import Action, Change, FieldChange, Plan, Step, StepKind
from dbc_iac.plan.planner import make_plan

__all__ = [
    "Action",
    "Change",
    "FieldChange",
    "Plan",
    "PlanContext",
    "PlanOptions",
    "Step",
    "StepKind",
    "check_inventory",
    "make_plan",
]
