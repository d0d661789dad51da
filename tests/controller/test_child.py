"""The end of a run as its process reports it: without secrets."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from dbc_iac.controller.child import _shown
from dbc_iac.controller.reconcile import RunEnd
from dbc_iac.controller.records import Outcome, Phase
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import Redaction
from tests.views.plans import plan

CANARY = "canary-of-a-secret"


@pytest.mark.parametrize(
    ("approval", "outcome", "message"),
    [
        ("", "planned", "Plan: ***."),
        ("data loss", "failed", "the plan has the value of a secret and cannot be approved"),
    ],
)
def test_a_plan_with_a_secret_is_neither_stored_nor_approved(approval: str, outcome: str, message: str) -> None:
    made = replace(plan(), project=CANARY)
    end = RunEnd(Outcome.PLANNED, Phase.APPROVAL, f"Plan: {CANARY}.", made.digest, made, approval=approval)
    redaction = Redaction()
    redaction.add(SecretText(CANARY))
    shown = _shown(end, redaction).to_json()
    assert CANARY not in json.dumps(shown)
    assert (shown["outcome"], shown["message"], shown["plan"], shown["approval"]) == (outcome, message, None, "")
