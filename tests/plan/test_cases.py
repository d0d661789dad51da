"""The pure planner, one file a case: see `case.py` for its form, and `cases/` for the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.plan.check.guardrails import check_reviewed
from dbc_iac.plan.model import Action
from dbc_iac.plan.review.derived_parts import differing_parts
from dbc_iac.plan.review.recorded_objects import other_objects
from dbc_iac.plan.schedule.steps import recompiled
from dbc_iac.plan.serialization import read_plan
from tests.plan.case import Case

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
LONGEST = 60


@pytest.mark.parametrize("file", CASES, ids=lambda f: f.stem)
def test_a_case_gives_its_plan(file: Path) -> None:
    case = Case.read(file)
    assert case.outcome() == case.expected


@pytest.mark.parametrize("file", CASES, ids=lambda f: f.stem)
def test_the_plan_of_a_case_can_be_written_and_read_and_is_of_its_state_and_manifests(file: Path) -> None:
    case = Case.read(file)
    try:
        made = case.plan()
    except DiagnosticError:
        return
    plan = read_plan(json.loads(json.dumps(made.to_json())))
    if made.errors:
        return
    context = case.context
    assert [(change.address, differs) for change, differs in other_objects(plan, context.state)] == []
    assert [(change.address, part) for change, part in differing_parts(plan, context)] == []
    assert [*check_reviewed(recompiled(plan), context)] == []


@pytest.mark.parametrize("file", CASES, ids=lambda f: f.stem)
def test_a_case_is_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < LONGEST


def test_the_cases_have_every_action() -> None:
    plans = [Case.read(file).expected.get("plan", {}) for file in CASES]
    actions = {change["action"] for plan in plans for change in plan.get("changes", {}).values()}
    assert actions == {action.value for action in Action} - {"no-op"}
