"""Planning: references, refresh, three-way diff, preflight, rails, steps. It reads; it cannot make a mutating call."""

from dbc_iac.plan.graph import check_inventory
from dbc_iac.plan.model import Action, Change, FieldChange, Plan, Step, StepKind
from dbc_iac.plan.planner import make_plan
from dbc_iac.plan.session import Options, Session

__all__ = [
    "Action",
    "Change",
    "FieldChange",
    "Options",
    "Plan",
    "Session",
    "Step",
    "StepKind",
    "check_inventory",
    "make_plan",
]
