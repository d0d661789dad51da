"""What is said of a plan beside what it does: by policies, of other stacks, of names and of where it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbc_iac.cli.at_hand import in_the_clear
from dbc_iac.cli.pipelines import forgotten
from dbc_iac.cli.stacks import claimed_elsewhere
from dbc_iac.cli.state_copies import still_errored
from dbc_iac.plan.moves import mistyped
from dbc_iac.policy import evaluate

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan import Plan


def judged(workspace: Workspace, plan: Plan) -> Plan:
    """The plan with what policies object to, with what is another stack's, and where its state is forgotten."""
    project, runtime, resources = workspace.loaded.project, workspace.app.runtime, workspace.inventory.resources
    labels = {a: r.labels for a, r in resources.items()}
    found = evaluate(project.policies, plan, labels, runtime.now(), workspace.loaded.where)
    placed = [
        replace(d, source=resources[d.address].where("")) if d.address in labels and d.source is None else d
        for d in found
    ]
    placed += claimed_elsewhere(workspace, plan)
    if project.removed and not plan.destroy:
        placed += mistyped(project.removed, workspace.recorded(), plan.changes, workspace.loaded.where)
    placed += forgotten(project.state, runtime.environ)
    if (waiting := still_errored(workspace, plan.serial)) is not None:
        placed.append(waiting)
    placed += in_the_clear(plan, workspace.resolver.known())
    return replace(plan, diagnostics=(*plan.diagnostics, *placed)) if placed else plan
