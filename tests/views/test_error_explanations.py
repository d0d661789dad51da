"""Error texts of nodes are explained where they are known, and quoted in the detail."""

from __future__ import annotations

import pytest

from dbc_iac.api.refusals import REFUSED
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.views.error_explanations import explained, explanation


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("refused by the node: -1: check wallet error: wallet not rented", "not rented"),
        ("nonce check failed", "credentials"),
        ("allocate gpu failed, need 2", "Not enough GPUs"),
        ("allocate memory failed", "enough free capacity"),
        ("rdp_port 20001 has been used", "has this port"),
        ("network is in used", "members of the LAN"),
        ("image:/data/none.qcow2 not exist", "does not have this file"),
        ("create request session failed", "run out of request slots"),
        ("query machine_status failed", "could not read the chain"),
    ],
)
def test_a_known_text_is_explained_and_quoted_in_the_detail(said: str, means: str) -> None:
    shown = explained(
        Diagnostic("goal-failed", Severity.ERROR, f"VirtualMachine/a: {said}", "Failed action: x.", "See.")
    )
    assert said not in shown.summary
    assert shown.summary.startswith("VirtualMachine/a: ")
    assert len(shown.summary) <= 72
    assert means in shown.detail
    assert f"Message: {said.removeprefix(REFUSED)}." in shown.detail
    assert shown.detail.endswith("Failed action: x.")
    assert shown.remedy not in {"", "See."}


@pytest.mark.parametrize(
    ("said", "waits_for"),
    [
        ("check authority failed: query machine_status failed", "when the node reaches the chain"),
        ("image:a.qcow2 in downloading", "when the transfer has ended"),
        ("image file is in downloading or uploading, please try again later", "when the transfer has ended"),
        ("create task failed, please try again in a minute", "in a minute"),
        ("allocate mem failed", "delete other VMs"),
        ("can not find network info", "of the same room"),
        (f"{REFUSED}task not exist", "in two minutes"),
        ("Only the running task can change the password", "Start the VM"),
    ],
)
def test_the_remedy_of_a_refusal_that_may_pass_says_what_is_waited_for(said: str, waits_for: str) -> None:
    shown = explained(Diagnostic("refused", Severity.ERROR, f"disk add was refused: {said}"))
    assert waits_for in shown.remedy


def test_an_unknown_text_is_unchanged() -> None:
    problem = Diagnostic("goal-failed", Severity.ERROR, "VirtualMachine/a: something new", "d", "r")
    assert explained(problem) == problem
    assert explanation("") is None


@pytest.mark.parametrize(
    ("summary", "short", "cause"),
    [
        (
            "VirtualMachine/trainer: refused by the node: its definition was not accepted by the hypervisor",
            "VirtualMachine/trainer: refused by the node",
            "Cause: its definition was not accepted by the hypervisor",
        ),
        (
            "cannot lock http://127.0.0.1:39081/state/lab-main (to lock was answered with HTTP 401)",
            "cannot lock http://127.0.0.1:39081/state/lab-main",
            "To lock was answered with HTTP 401",
        ),
        (
            "VirtualMachine/a cannot be read: client node default (http://127.0.0.1:5050) cannot be reached: refused",
            "VirtualMachine/a cannot be read",
            "Cause: client node default (http://127.0.0.1:5050) cannot be reached: refused",
        ),
        (
            "BareMetalInstance/box cannot be read: Error: Unable to establish a session with the controller",
            "BareMetalInstance/box cannot be read",
            "Cause: Error: Unable to establish a session with the controller",
        ),
        (
            f"cannot read variable file /{'long/' * 20}prod.yaml (No such file or directory)",
            f"cannot read variable file /{'long/' * 20}prod.yaml",
            "No such file or directory",
        ),
    ],
)
def test_a_quote_that_makes_a_summary_too_long_moves_to_the_detail(summary: str, short: str, cause: str) -> None:
    shown = explained(Diagnostic("goal-failed", Severity.ERROR, summary, "More.", "See."))
    assert (shown.summary, shown.detail, shown.remedy) == (short, f"{cause}. More.", "See.")


@pytest.mark.parametrize("summary", ["a" * 60 + ": " + "b" * 20, "a b " * 20])
def test_a_long_summary_without_a_statement_before_its_quote_is_unchanged(summary: str) -> None:
    problem = Diagnostic("x", Severity.ERROR, summary)
    assert explained(problem) == problem


def test_a_long_cause_of_a_failed_goal_is_in_the_detail() -> None:
    text = "VirtualMachine/a: its domain is missing; only a restart of the DBC service of Node/gpu-a deletes it"
    shown = explained(Diagnostic("goal-failed", Severity.ERROR, text, "More.", "See.", address="VirtualMachine/a"))
    assert shown.summary == "VirtualMachine/a failed"
    assert shown.detail == f"Cause: {text.removeprefix('VirtualMachine/a: ')}. More."
