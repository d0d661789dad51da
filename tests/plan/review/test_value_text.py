"""Values in sentences: as a manifest writes them, never as Python does."""

from __future__ import annotations

from typing import Any

import pytest

from dbc_iac.json import value_text
from dbc_iac.plan.model import Action
from dbc_iac.plan.review.plan_comparison import check_is_remainder
from tests.views.plans import change, plan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (None, "nothing"), ("", "nothing"), ([], "nothing"), (4, "4"), ("on", "on"),
        (["tcp,80", "tcp,81"], "tcp,80, tcp,81"), ({"env": "BMC_PW"}, "env: BMC_PW"), ({"exec": ["pass", "x"]}, "exec: pass, x"),
    ],
)  # fmt: skip
def test_a_value_reads_as_in_a_manifest(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_another_reference_of_a_secret_is_named_without_braces() -> None:
    reviewed, now = (
        plan(change("BareMetalServer/one", Action.CREATE, secrets={"ipmi.password": {"env": name}}))
        for name in ("BMC_PW", "OTHER")
    )
    problem = check_is_remainder(reviewed, now)
    assert problem is not None
    assert "ipmi.password: reviewed env: BMC_PW, now env: OTHER" in problem.summary + problem.detail
