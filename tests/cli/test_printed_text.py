"""Text of nodes on standard output, in files and in prompts: escaped and without secrets, in every command."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.cli.approval import confirm
from dbc_iac.cli.progress_reporting import EventLog
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.secret import SecretText
from dbc_iac.views.markdown.plan import plan_markdown
from tests.projects import Emulated, project, vm
from tests.views.plans import plan

pytestmark = pytest.mark.hostile_summaries  # values of any length and form are printed

HOSTILE = "a\x1b[31mred\u202e\x9b2J\u2028b @everyone `x` {{ 7*7 }}"
SENT = HOSTILE.replace("\x1b", "")
"""As a node sends it: with an escape character in it its JSON would be broken."""
CANARY = "canary-of-a-login"
LOGIN: dict[str, Any] = {"login": {"password": {"env": "PW"}}}


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    """A VM whose node answers with hostile text and with the password of its manifest."""
    made = Emulated(project(tmp_path, vm(**LOGIN), environ={"PW": CANARY}))
    assert made.run("apply", "--yes").code == 0
    [task] = made.vms
    made.admin.change_vm(task, desc=f"{SENT} {CANARY}")
    yield made
    made.close()


def steering(text: str) -> list[str]:
    return [c for c in text if (unicodedata.category(c) in {"Cc", "Zl", "Zp"} and c != "\n") or c == "\u202e"]


@pytest.mark.parametrize("command", [
    "vm show trainer", "vm show trainer --json", "vm list", "vm logs trainer", "plan", "plan --json", "drift", "orphans",
    "drift --json", "output", "state show VirtualMachine/trainer", "api /tasks/VM --node gpu-a",
    "api /tasks/VM --node gpu-a --json",
])  # fmt: skip
def test_no_command_prints_control_characters_or_secrets_of_a_node(emulated: Emulated, command: str) -> None:
    [task] = emulated.vms
    result = emulated.run(*command.replace("VM", task if "/tasks" in command else "VM").split())
    assert steering(result.out + result.err) == []
    assert CANARY not in result.out + result.err


def test_a_description_is_shown_with_escapes(emulated: Emulated) -> None:
    text = emulated.run("vm", "show", "trainer").out
    assert "a[31mred\\u202e\\u009b2J\\u2028b" in text
    assert json.loads(emulated.run("vm", "show", "trainer", "--json").out)["desc"].startswith(SENT)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_result_of_any_command_is_escaped_and_redacted_where_it_is_written(as_json: bool) -> None:
    out = io.StringIO()
    app = App(CommandRuntime(out=out, err=io.StringIO(), environ={}), json=as_json)
    app.redaction.add(SecretText(CANARY))
    app.show(f"{HOSTILE}\n{CANARY}", {HOSTILE: [CANARY]})
    assert steering(out.getvalue()) == []
    assert CANARY not in out.getvalue()
    if as_json:
        assert json.loads(out.getvalue()) == {HOSTILE: ["***"]}


def test_a_prompt_is_escaped_and_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(text: str) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(click, "confirm", answer)
    app = App(CommandRuntime(out=io.StringIO(), err=io.StringIO(), environ={}, terminal=True))
    app.redaction.add(SecretText(CANARY))
    confirm(app, f"Break the lock of {HOSTILE} {CANARY}?")
    assert steering(asked[0]) == []
    assert CANARY not in asked[0]


def test_the_title_of_a_markdown_plan_is_no_markup() -> None:
    [text] = plan_markdown(replace(plan(), project="`</x>` @everyone\n# head", environment=HOSTILE))
    head = text.splitlines()[0]
    assert head.count("`") == 4
    assert "\n# head" not in text
    assert steering(text) == []


# Commands to the log of GitHub Actions

LOG_COMMANDS = "##[add-mask]a ###[error]b\n \u00a0::error file=x::c\n::stop-commands::d\n::1\n## [x] ::warning::e"
RUNNER_COMMANDS = re.compile(r"##\[|^\s*::\S+?(?: .*?)?::", re.MULTILINE)
"""As the runner finds them: `##[` anywhere in a line, `::` at its start."""


@pytest.mark.parametrize("as_json", [True, False])
def test_no_text_is_a_command_to_the_log_of_github_actions(as_json: bool) -> None:
    out, err = io.StringIO(), io.StringIO()
    app = App(CommandRuntime(out=out, err=err, environ={"GITHUB_ACTIONS": "true"}), json=as_json)
    app.show(LOG_COMMANDS, {LOG_COMMANDS: [LOG_COMMANDS]})
    app.note(LOG_COMMANDS)
    app.report([Diagnostic("x", Severity.ERROR, LOG_COMMANDS, LOG_COMMANDS)])
    EventLog(out, app, owned=False).write({"text": LOG_COMMANDS})
    assert RUNNER_COMMANDS.findall(out.getvalue() + err.getvalue()) == []
    if as_json:
        shown, _ = json.JSONDecoder().raw_decode(out.getvalue())
        assert shown == {LOG_COMMANDS: [LOG_COMMANDS]}
    else:
        assert "\n::1\n## [x] ::warning::e\n" in out.getvalue()


def test_text_is_shown_as_it_is_outside_of_github_actions() -> None:
    out = io.StringIO()
    App(CommandRuntime(out=out, err=io.StringIO(), environ={})).show("##[error]a\n::error::b", None)
    assert out.getvalue() == "##[error]a\n::error::b\n"


@pytest.mark.parametrize("command", ["vm show trainer", "vm logs trainer", "plan", "drift --json", "apply --yes"])
def test_a_node_sends_no_commands_to_the_log_of_github_actions(emulated: Emulated, command: str) -> None:
    emulated.project.environ["GITHUB_ACTIONS"] = "true"
    [task] = emulated.vms
    emulated.admin.change_vm(task, desc="##[add-mask]trainer\\n::stop-commands::x")
    result = emulated.run(*command.split())
    assert RUNNER_COMMANDS.findall(result.out + result.err) == []
