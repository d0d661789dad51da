"""Approval on a terminal: the summary is repeated, and the answer is a word that nobody types by accident."""

from __future__ import annotations

import io
from typing import Any

import click
import pytest

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.apply import Approval, require_approval
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.plan import Action, Plan
from tests.views.plans import change, plan

CREATION = plan(change("a", Action.CREATE))
DESTROY = plan(change("a", Action.DELETE, kind="Disk", losses=("Disk/a: 40 GiB",)), destroy=True)
NOTHING_LOST = plan(change("a", Action.DELETE, kind="Network"), destroy=True)


@pytest.mark.parametrize(
    ("of", "answer", "approved"),
    [
        (CREATION, "yes", True),
        (CREATION, " yes ", True),
        (CREATION, "y", False),
        (CREATION, "", False),
        (CREATION, "n", False),
        (DESTROY, "yes", False),
        (DESTROY, DESTROY.project, True),
        (NOTHING_LOST, "yes", True),
    ],
)
def test_only_the_expected_word_approves(
    of: Plan, answer: str, approved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def prompt(text: str, **settings: Any) -> str:
        asked.append(text)
        return answer

    monkeypatch.setattr(click, "prompt", prompt)
    app = App(CommandRuntime(out=io.StringIO(), err=(err := io.StringIO()), environ={}, terminal=True))
    if approved:
        require_approval(app, of, Approval.NONE)
    else:
        with pytest.raises(click.exceptions.Exit) as end:
            require_approval(app, of, Approval.NONE)
        assert end.value.exit_code is ExitCode.REFUSED
        assert err.getvalue() == "Nothing was changed: the plan was not approved.\n"
    assert asked[0].startswith("Plan: ")
    assert f"project {of.project}" in asked[0].lower()


def test_nothing_is_asked_without_a_terminal_or_with_input_false() -> None:
    app = App(CommandRuntime(out=io.StringIO(), err=io.StringIO(), environ={}, terminal=False))
    with pytest.raises(DiagnosticError, match="no terminal to ask for approval"):
        require_approval(app, CREATION, Approval.NONE)
