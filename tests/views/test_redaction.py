"""Secrets are removed from shown values at any depth."""

from __future__ import annotations

import pytest
from msgspec import Struct
from msgspec.structs import asdict, replace

from dbc_iac.apply.report import Event, Report
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import Redaction
from tests.views.plans import change, everything, plan

CANARY = "canary-of-a-password"
HIDE = Redaction()
for word in (CANARY, "short", "canary-of-a-password-longer"):
    HIDE.add(SecretText(word))


def test_no_part_of_a_plan_an_event_a_report_or_a_problem_keeps_a_secret() -> None:
    said = f"the node said {CANARY}!"
    field = FieldChange("desc", [{"x": said}], said, "online")
    made = plan(
        change("a", Action.UPDATE, field, reasons=(said,), notes=(said,), losses=(said,), observed={said: [said]}),
        recovery=(said,),
    )  # fmt: skip
    problem = Diagnostic("x", Severity.ERROR, said, said, said)
    for value in (
        replace(made, diagnostics=(problem,)),
        Event("call", "A/b", said, 1.0, {"x": said}),
        Report(failed={"A/b": said}, diagnostics=(problem,)),
        [problem],
    ):
        written, shown = (repr(asdict(one) if isinstance(one, Struct) else one) for one in (value, HIDE(value)))
        assert CANARY in written
        assert CANARY not in shown
        assert "the node said ***!" in shown


def test_the_longest_secret_goes_first_and_short_ones_are_left() -> None:
    assert HIDE("canary-of-a-password-longer, a short text") == "***, a short text"


def test_a_value_without_secrets_is_unchanged() -> None:
    assert HIDE(everything()).digest == everything().digest
    assert Redaction()(everything()) == everything()


@pytest.mark.parametrize("count", [1, 1000])
def test_secrets_that_are_added_later_are_removed_and_the_longest_first(count: int) -> None:
    hide = Redaction()
    assert hide("canary-00000") == "canary-00000"
    for number in range(count):
        hide.add(SecretText(f"canary-{number:05}"))
    hide.add(SecretText("canary-00000-and-more"))
    assert hide("xcanary-00000x and canary-00000-and-more, canary") == "x***x and ***, canary"
    assert hide(f"of canary-{count - 1:05}") == "of ***"
    assert hide("short") == "short"
