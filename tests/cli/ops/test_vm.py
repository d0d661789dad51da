"""Operations commands on VMs, through the command line against the emulated network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.operations.project import Project
from dbc_iac.state.backends.local import LocalBackend
from tests.cli.runs import applied
from tests.projects import NODE_ID, Emulated, project, vm

PASSWORD = "canary-of-the-manifest"
LOGIN = {"username": "dbc", "password": {"env": "PASSWORD"}}


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    """An applied project with one VM `trainer`."""

    def build(**changed: Any) -> Emulated:
        made: Emulated = world(vm(**{"login": LOGIN, **changed}), environ={"PASSWORD": PASSWORD})
        applied(made)
        return made

    return build


def only(emulated: Emulated) -> dict[str, Any]:
    [machine] = emulated.vms.values()
    return machine


def fault(emulated: Emulated, op: str, kind: str, **more: Any) -> None:
    emulated.network.faults.add(FaultSpec.model_validate({"op": op, "kind": kind, **more}))


def test_the_list_names_the_document_of_each_vm_and_has_those_of_nobody(world: Callable[..., Emulated]) -> None:
    emulated = world()
    [task_id] = emulated.vms
    [row] = emulated.run("vm", "list", "--json").json
    assert (row["name"], row["id"], row["status"], row["node"]) == ("trainer", task_id, "running", "Node/gpu-a")
    shutil.rmtree(emulated.project.directory / "state")
    [row] = emulated.run("vm", "list", "--json").json
    assert (row["name"], row["id"]) == ("", task_id)
    assert task_id in emulated.run("vm", "list").out


def test_an_unreadable_node_is_reported_and_fails_the_list(world: Callable[..., Emulated]) -> None:
    emulated = world()
    fault(emulated, "tasks.list", "time-out", nth=1)
    result = emulated.run("vm", "list", "--json")
    assert (result.code, result.codes) == (1, ["unreadable"])


def test_passwords_are_shown_only_when_it_is_asked_for(world: Callable[..., Emulated]) -> None:
    emulated = world()
    hidden = emulated.run("vm", "show", "trainer")
    assert PASSWORD not in hidden.out + hidden.err + emulated.run("vm", "show", "trainer", "--json").out
    assert PASSWORD in emulated.run("vm", "show", "trainer", "--reveal").out
    shown = emulated.run("vm", "show", "trainer", "--reveal", "--json").json
    assert (shown["loginPassword"], shown["resource"]) == (PASSWORD, "VirtualMachine/trainer")


@pytest.mark.parametrize("name", ["trainer", "VirtualMachine/trainer", "by id"])
def test_a_vm_is_named_by_document_address_or_id(world: Callable[..., Emulated], name: str) -> None:
    emulated = world()
    [task_id] = emulated.vms
    shown = emulated.run("vm", "show", task_id if name == "by id" else name, "--json").json
    assert (shown["taskId"], shown["resource"]) == (task_id, "VirtualMachine/trainer")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["show", "trianer"], 3, "unknown-name"),
        (["show", "A" * 22], 1, "not-found"),
        (["show", "A" * 22, "--node", "none"], 3, "unknown-name"),
        (["show", "A" * 22, "--node", NODE_ID, "--identity", "none"], 3, "identity"),
        (["start", "A" * 22, "--yes"], 1, "unreadable"),
        (["restart", "A" * 22, "--yes"], 1, "refused"),
        (["stop", "trainer"], 3, "needs-yes"),
        (["reset", "trainer"], 3, "needs-yes"),
        (["passwd", "trainer", "--yes"], 3, "secret-missing"),
        (["passwd", "trainer", "--yes", "--password-env", "NONE"], 3, "secret-missing"),
        (["passwd", "trainer", "--yes", "--password-env", "BAD"], 3, "unsafe-value"),
        (["passwd", "trainer", "--yes", "--password-env", "BAD", "--password-file", "x"], 3, "usage"),
    ],
)
def test_an_impossible_request_is_reported_and_changes_nothing(
    world: Callable[..., Emulated], arguments: list[str], exit_code: int, problem: str
) -> None:
    emulated = world()
    emulated.project.environ["BAD"] = 'quo"te'
    result = emulated.run("vm", *arguments, "--json")
    assert (result.code, result.codes[-1]) == (exit_code, problem), result.err
    assert only(emulated)["domain"] == "running"
    assert only(emulated)["password"] == PASSWORD


def test_an_account_that_no_guest_has_gets_the_form(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.project.environ["NEW"] = "another-one"
    result = emulated.run("vm", "passwd", "trainer", "--username", "a b", "--password-env", "NEW", "--yes")
    assert "username: expected 1-32 letters, digits, _ . and -" in result.err


def test_a_misspelled_name_gets_a_suggestion(world: Callable[..., Emulated]) -> None:
    assert "Did you mean trainer?" in world().run("vm", "show", "trianer").err


def test_a_vm_that_has_not_been_applied_has_no_id_yet(tmp_path: Path) -> None:
    result = project(tmp_path, vm(), environ={"SEED": "00" * 32}).run("vm", "show", "trainer", "--json")
    assert (result.code, result.codes) == (1, ["not-applied"])


def test_stop_and_start_wait_and_warn_of_drift(world: Callable[..., Emulated]) -> None:
    emulated = world()
    result = emulated.run("vm", "stop", "trainer", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"], result.codes) == (0, "closed", ["drift"])
    assert only(emulated)["domain"] == "off"
    assert emulated.run("plan", "--detailed-exitcode").code == 2
    again = emulated.run("vm", "stop", "trainer", "--yes", "--json")
    assert (again.json["status"], again.err) == ("already off", "")
    result = emulated.run("vm", "start", "trainer", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"], result.err) == (0, "running", "")
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_what_the_manifest_leaves_alone_is_no_drift(world: Callable[..., Emulated]) -> None:
    result = world(power="unmanaged").run("vm", "stop", "trainer", "--yes", "--force", "--wait", "--json")
    assert (result.code, result.json["status"], result.err) == (0, "closed", "")


def test_without_wait_a_change_is_only_accepted(world: Callable[..., Emulated]) -> None:
    emulated = world()
    assert emulated.run("vm", "stop", "trainer", "--yes", "--json").json["status"] == "accepted"
    emulated.settle(60)
    assert only(emulated)["domain"] == "off"


def test_the_lock_of_a_change_is_held_by_the_command_as_it_was_typed(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated, held = world(), list[str]()
    locked = Project.locked

    def counted(self: Project, command: str, timeout_seconds: float = 0.0) -> AbstractContextManager[None]:
        held.append(command)
        return locked(self, command, timeout_seconds)

    monkeypatch.setattr(Project, "locked", counted)
    for verb in ("stop", "start", "restart", "reset"):
        assert emulated.run("vm", verb, "trainer", "--yes", "--wait").code == 0
    assert held == ["vm stop", "vm start", "vm restart", "vm reset"]


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
def test_an_answer_that_does_not_come_is_unknown_and_never_success(world: Callable[..., Emulated], kind: str) -> None:
    emulated = world()
    fault(emulated, "tasks.shutdown", kind, seconds=45)
    result = emulated.run("vm", "stop", "trainer", "--yes", "--json")
    assert (result.code, result.codes, result.out) == (7, ["drift", "outcome-unknown"], "")
    assert "Check with `dbc-iac vm show VirtualMachine/trainer`" in result.err


@pytest.mark.parametrize("kind", ["lost-reply", "late"])
def test_who_waits_learns_the_outcome_by_looking(world: Callable[..., Emulated], kind: str) -> None:
    emulated = world()
    fault(emulated, "tasks.shutdown", kind, seconds=45)
    result = emulated.run("vm", "stop", "trainer", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"]) == (0, "closed")


def test_what_was_never_done_stays_unknown_to_who_waits(world: Callable[..., Emulated]) -> None:
    emulated = world()
    fault(emulated, "tasks.shutdown", "time-out")
    began = emulated.loop.time()
    result = emulated.run("vm", "stop", "trainer", "--yes", "--wait", "--json")
    assert (result.code, result.codes) == (7, ["drift", "outcome-unknown"])
    assert 900 < emulated.loop.time() - began < 1200, "what is that late does not come any more"
    assert only(emulated)["domain"] == "running"


def test_a_wait_that_is_over_leaves_it_going_on(world: Callable[..., Emulated]) -> None:
    emulated = world()
    fault(emulated, "tasks.list", "time-out", nth=2, times=9)
    result = emulated.run("vm", "stop", "trainer", "--yes", "--wait", "--timeout", "20", "--json")
    assert (result.code, result.codes) == (7, ["drift", "still-waiting"])


@pytest.mark.parametrize("arguments", [["restart"], ["restart", "--force"], ["reset"]])
def test_restarts_end_running(world: Callable[..., Emulated], arguments: list[str]) -> None:
    emulated = world()
    result = emulated.run("vm", *arguments, "trainer", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"]) == (0, "running")
    fault(emulated, f"tasks.{arguments[0]}", "lost-reply")
    again = emulated.run("vm", *arguments, "trainer", "--yes", "--wait", "--json")
    assert (again.code, again.codes) == (7, ["outcome-unknown"])


@pytest.mark.parametrize("arguments", [["restart"], ["restart", "--force"], ["reset"]])
def test_a_vm_that_is_off_is_not_restarted(world: Callable[..., Emulated], arguments: list[str]) -> None:
    emulated = world(power="off")
    assert only(emulated)["domain"] == "off"
    result = emulated.run("vm", *arguments, "trainer", "--yes", "--wait")
    assert (result.code, only(emulated)["domain"]) == (5, "off")
    assert "error[vm-off]: VirtualMachine/trainer is off" in result.err
    assert "`dbc-iac vm start VirtualMachine/trainer`" in result.err


def test_a_password_is_taken_from_the_environment_or_a_file_and_never_shown(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = world()
    emulated.project.environ["NEW"] = "canary-of-the-environment"
    said = emulated.run("vm", "passwd", "trainer", "--password-env", "NEW", "--yes")
    assert (said.code, only(emulated)["password"]) == (0, "canary-of-the-environment")
    assert "warning[drift]" in said.err
    (tmp_path / "secret").write_text("canary-of-the-file\n")
    more = emulated.run("vm", "passwd", "trainer", "--password-file", str(tmp_path / "secret"), "--yes", "--json")
    assert (more.code, only(emulated)["password"]) == (0, "canary-of-the-file")
    logged = emulated.run("vm", "logs", "trainer")
    assert "canary" not in said.out + said.err + more.out + more.err + logged.out + logged.err


def test_the_password_of_a_vm_that_is_off_is_set_after_its_start(world: Callable[..., Emulated]) -> None:
    emulated = world(power="off")
    emulated.project.environ["NEW"] = "another-one"
    result = emulated.run("vm", "passwd", "trainer", "--password-env", "NEW", "--yes")
    assert result.code == 1
    assert "Start the VM with `dbc-iac vm start NAME --wait`" in result.err


def test_the_log_hides_what_the_node_writes_and_is_cut_as_asked(world: Callable[..., Emulated]) -> None:
    emulated = world()
    everything = emulated.run("vm", "logs", "trainer", "--json").json["lines"]
    assert any("pwd:***" in line for line in everything)
    assert any(line.endswith("password: ***") for line in everything)
    vnc = emulated.run("vm", "show", "trainer", "--reveal", "--json").json["vncPassword"]
    assert not any(PASSWORD in line or vnc in line for line in everything)
    assert emulated.run("vm", "logs", "trainer", "--head", "-n", "1", "--json").json["lines"] == everything[:1]
    assert emulated.run("vm", "logs", "trainer", "-n", "2", "--json").json["lines"] == everything[-2:]
    assert emulated.run("vm", "logs", "trainer", "-n", "100").code == 3


def test_ssh_prints_a_command_line_without_a_password(world: Callable[..., Emulated]) -> None:
    emulated = world()
    line = emulated.run("vm", "ssh", "trainer", "--json", "--", "nvidia-smi", "-L").json["command"]
    assert line == ["ssh", "-p", "20000", "-l", "dbc", "--", "203.0.113.7", "nvidia-smi", "-L"]
    assert emulated.run("vm", "ssh", "trainer").out == "ssh -p 20000 -l dbc -- 203.0.113.7\n"


def test_ssh_and_passwd_use_the_account_whose_password_is_managed(world: Callable[..., Emulated]) -> None:
    """The node reports the image's own account, whichever one was set."""
    emulated = world(login={"username": "alice", "password": {"env": "PASSWORD"}})
    assert emulated.run("vm", "show", "trainer", "--json").json["userName"] == "dbc"
    assert emulated.run("vm", "ssh", "trainer").out == "ssh -p 20000 -l alice -- 203.0.113.7\n"
    emulated.project.environ["NEW"] = "another-one"
    said = emulated.run("vm", "passwd", "trainer", "--password-env", "NEW", "--yes", "--json")
    assert (said.code, said.json["username"]) == (0, "alice")


def test_a_vm_of_nobody_is_logged_in_to_as_the_node_reports(world: Callable[..., Emulated]) -> None:
    emulated = world(login={"username": "alice", "password": {"env": "PASSWORD"}})
    [task_id] = emulated.vms
    shutil.rmtree(emulated.project.directory / "state")
    assert emulated.run("vm", "ssh", task_id).out == "ssh -p 20000 -l dbc -- 203.0.113.7\n"


def test_a_change_waits_for_no_lock_but_never_runs_into_an_apply(world: Callable[..., Emulated]) -> None:
    emulated = world()
    with LocalBackend(emulated.project.directory / "state", "main").lock({"command": "apply"}):
        assert emulated.run("vm", "show", "trainer").code == 0
        assert emulated.run("vm", "stop", "trainer", "--yes").code == 6
    assert only(emulated)["domain"] == "running"
