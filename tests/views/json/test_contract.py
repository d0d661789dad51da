"""The published schemas hold for every plan and every end of an apply."""

from __future__ import annotations

import json

import jsonschema
import pytest

from dbc_iac.apply.report import Report
from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange
from dbc_iac.plan.model import Action, Plan
from dbc_iac.views.json.schemas import plan_schema, report_schema
from dbc_iac.views.text.apply import report_json
from tests.views.plans import everything, fleet, plan

PROBLEM = Diagnostic("x", Severity.ERROR, "wrong", source=SourceRange("a", 1, 1, 1, 2))


@pytest.mark.parametrize("made", [everything(), fleet(12), plan(), plan(diagnostics=(PROBLEM,))])
def test_plans_fit_their_schema(made: Plan) -> None:
    jsonschema.Draft202012Validator.check_schema(plan_schema())
    jsonschema.validate(json.loads(json.dumps(made.to_json())), plan_schema())


@pytest.mark.parametrize(
    "change", [{"formatVersion": 99}, {"more": 1}, {"changes": [{"address": "x"}]}, {"digest": ""}]
)
def test_an_invalid_plan_does_not_fit_the_schema(change: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(plan_schema())
    assert not validator.is_valid({**everything().to_json(), **change})


def test_the_end_of_an_apply_fits_its_schema() -> None:
    made = Report(
        done={"A/b": Action.CREATE}, failed={"A/c": "no"}, waiting={"A/d": "still"}, seconds=12.34, interrupted=True
    )
    jsonschema.validate(report_json(made), report_schema())
    assert report_json(made)["exitCode"] == 8
