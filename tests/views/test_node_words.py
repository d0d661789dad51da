"""What nodes say is translated where it is known, and left as it is elsewhere."""

from __future__ import annotations

import pytest

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.views.error_explanations import explained, explanation


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("the node refused it: -1: check wallet error: wallet not rented", "not rented"),
        ("nonce check failed", "credentials"),
        ("allocate gpu failed, need 2", "Not enough GPUs"),
        ("allocate memory failed", "not enough of it"),
        ("rdp_port 20001 has been used", "has this port"),
        ("network is in used", "members of the LAN"),
        ("create request session failed", "run out of slots"),
        ("query machine_status failed", "could not ask the chain"),
    ],
)
def test_known_words_are_told_with_what_they_mean_and_what_helps(said: str, means: str) -> None:
    told = explained(Diagnostic("goal-failed", Severity.ERROR, f"VirtualMachine/a: {said}", "The goal was: x.", "See."))
    assert said in told.summary
    assert means in told.detail
    assert told.detail.endswith("The goal was: x.")
    assert told.remedy not in {"", "See."}


def test_words_that_are_not_known_are_left() -> None:
    problem = Diagnostic("goal-failed", Severity.ERROR, "VirtualMachine/a: something new", "d", "r")
    assert explained(problem) == problem
    assert explanation("") is None
