"""One run of a stack on an emulated node with a virtual clock: modes, drift, approval, window."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from dbc_iac import PlanOptions, Project, Runtime
from dbc_iac.apply import Stop
from dbc_iac.controller.reconcile import Policy, RunEnd, failed, reconcile
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.operations.apply import Observer
from tests.projects import PROJECT, Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "a", "size": "30Gi"})


@dataclass
class Stack:
    """A stack whose manifests and machines a test changes between runs."""

    emulated: Emulated

    def write(self, *documents: str) -> None:
        directory = self.emulated.project.directory
        project(directory, *documents, environ=self.emulated.project.environ)
        (directory / "dbc-iac.yaml").write_text(f"{PROJECT}  state: {{path: {directory}/state}}\n")

    def load(self) -> Project:
        emulated = self.emulated
        run = emulated.loop.run_until_complete
        runtime = Runtime(environ=emulated.project.environ, run=run, transport=emulated.network.transport)
        return Project.load(emulated.project.directory, runtime=runtime)

    def run(self, observer: Observer | None = None, **policy: Any) -> RunEnd:
        """The end of a run. A DiagnosticError is one, as in the process of a run."""
        rules = Policy(**{"mode": "apply", "drift": "revert", "drift_only": False, "open": True, **policy})
        try:
            return reconcile(self.load(), rules, observer or Observer(), lambda: False)
        except DiagnosticError as error:
            return failed(*error.diagnostics)

    def stop_vm(self) -> None:
        self.emulated.admin.power_off(next(iter(self.emulated.vms)))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    emulated = Emulated(project(tmp_path / "lab"))
    made = Stack(emulated)
    made.write(vm("a"))
    yield made
    emulated.close()


def known(end: RunEnd, status: str) -> dict[str, Any]:
    assert end.plan is not None
    return {"status": status, "digest": end.digest, "plan": json.dumps(end.plan.to_json())}


def test_observing_changes_nothing_and_reports_drift(stack: Stack) -> None:
    planned = stack.run(mode="observe")
    assert (planned.outcome, planned.phase, planned.drifted) == ("planned", "out-of-sync", False)
    assert stack.emulated.vms == {}
    assert stack.run().phase == "synced"
    assert stack.run(mode="observe").outcome == "unchanged"
    stack.stop_vm()
    drifted = stack.run(mode="observe", drift_only=True)
    assert (drifted.phase, drifted.drifted, drifted.message) == ("drifted", True, "Plan: 1 to update.")


def test_drift_is_reported_or_reverted(stack: Stack) -> None:
    assert stack.run().message.startswith("Apply complete")
    stack.stop_vm()
    assert stack.run(drift="report", drift_only=True).phase == "drifted"
    assert stack.run(drift="report").phase == "drifted"  # the database does not know that it was applied
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["off"]
    assert stack.run(drift="revert", drift_only=True).outcome == "applied"
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["running"]


def test_a_commit_reverts_drift_only_after_approval_where_drift_is_reported(stack: Stack) -> None:
    stack.run()
    stack.stop_vm()
    stack.write(vm("a", memory="16Gi"), document("Network", "network1", {"via": "gpu-a", "cidr": "192.168.60.0/24"}))
    waiting = stack.run(drift="report")
    assert (waiting.outcome, waiting.phase) == ("planned", "approval")
    assert (waiting.approval, waiting.drifted) == ("drift: VirtualMachine/a", True)
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["off"]
    assert stack.run(drift="report", approval=known(waiting, "approved")).outcome == "applied"
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["running"]
    stack.stop_vm()
    stack.write(vm("a", memory="8Gi"))
    assert stack.run(drift="revert").outcome == "applied"


def test_drift_beside_an_approval_that_is_stale_is_not_reverted(stack: Stack) -> None:
    stack.run()
    stack.write(vm("a", memory="16Gi"))
    waiting = stack.run(mode="approve")
    stack.write(vm("a"))
    stack.stop_vm()
    stale = stack.run(drift="report", approval=known(waiting, "approved"))
    assert (stale.outcome, stale.phase, stale.drifted) == ("planned", "drifted", True)
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["off"]


def test_an_object_that_was_deleted_is_drift(stack: Stack) -> None:
    stack.run()
    stack.emulated.admin.remove_vm(next(iter(stack.emulated.vms)))
    gone = stack.run(drift="report")
    assert (gone.phase, gone.drifted, stack.emulated.vms) == ("drifted", True, {})
    stack.write(vm("a"), vm("b"))
    assert stack.run(drift="report").approval == "drift: VirtualMachine/a"
    assert stack.run(drift="revert").outcome == "applied"


@pytest.mark.parametrize("drift_only", [False, True])
def test_a_machine_that_an_interrupted_apply_powered_off_is_started(stack: Stack, drift_only: bool) -> None:
    stack.run()
    stack.write(vm("a", memory="16Gi"))

    class LeavePoweredOff(Observer):
        def watching(self, plan: Any, stop: Stop) -> Any:
            self.task = asyncio.current_task()
            return super().watching(plan, stop)

        def event(self, event: Any) -> None:
            if event.kind == "goal-met" and self.task is not None:
                self.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        stack.run(LeavePoweredOff())
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["off"]
    stack.write(vm("a"))
    assert stack.run(drift="report", drift_only=drift_only).outcome == "applied"
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["running"]


def test_data_loss_waits_for_approval_in_every_mode(stack: Stack) -> None:
    stack.write(vm("a"), DISK)
    assert stack.run().outcome == "applied"
    stack.write(vm("a"))
    waiting = stack.run()
    assert (waiting.outcome, waiting.phase, waiting.approval) == ("planned", "approval", "data loss: Disk/scratch")
    [machine] = stack.emulated.vms.values()
    assert len(machine["disks"]) == 3
    assert stack.run(approval=known(waiting, "approved")).outcome == "applied"
    [machine] = stack.emulated.vms.values()
    assert len(machine["disks"]) == 2


def test_exactly_the_approved_plan_is_applied_in_the_window(stack: Stack) -> None:
    waiting = stack.run(mode="approve")
    assert (waiting.phase, waiting.approval) == ("approval", "mode approve")
    again = stack.run(mode="approve", approval=known(waiting, "pending"))
    assert (again.digest, again.plan, again.approval) == (waiting.digest, None, "mode approve")
    rejected = stack.run(mode="approve", approval=known(waiting, "rejected"))
    assert (rejected.phase, rejected.approval) == ("rejected", "")
    late = stack.run(mode="approve", approval=known(waiting, "approved"), open=False)
    assert (late.phase, late.digest, stack.emulated.vms) == ("window", waiting.digest, {})
    done = stack.run(mode="approve", approval=known(waiting, "approved"))
    assert (done.outcome, done.digest) == ("applied", waiting.digest)


def test_an_approved_plan_is_stale_after_drift(stack: Stack) -> None:
    stack.run()
    stack.write(vm("a", memory="16Gi"))
    waiting = stack.run(mode="approve")
    stack.stop_vm()
    stale = stack.run(mode="approve", approval=known(waiting, "approved"))
    assert (stale.outcome, stale.phase, stale.approval) == ("planned", "approval", "mode approve")
    assert stale.digest != waiting.digest
    assert [one["domain"] for one in stack.emulated.vms.values()] == ["off"]


@pytest.mark.parametrize("status", ["approved", "pending", "rejected"])
def test_a_plan_of_another_version_is_stale(stack: Stack, status: str) -> None:
    waiting = stack.run(mode="approve")
    other = known(waiting, status)
    other["plan"] = json.dumps({**json.loads(other["plan"]), "formatVersion": 1})
    again = stack.run(mode="approve", approval=other)
    assert (again.phase, again.approval, again.plan is None, stack.emulated.vms) == (
        "approval",
        "mode approve",
        False,
        {},
    )


def test_an_interrupted_apply_of_an_approved_plan_is_continued(stack: Stack) -> None:
    waiting = stack.run(mode="approve")

    class StopAtFirstCall(Observer):
        stop: Stop

        def watching(self, plan: Any, stop: Stop) -> Any:
            self.stop = stop
            return super().watching(plan, stop)

        def event(self, event: Any) -> None:
            if event.kind == "call":
                self.stop.set()

    interrupted = stack.run(StopAtFirstCall(), mode="approve", approval=known(waiting, "approved"))
    assert (interrupted.outcome, interrupted.phase) == ("interrupted", None)
    done = stack.run(mode="approve", approval=known(waiting, "approved"))
    assert (done.outcome, done.digest, len(stack.emulated.vms)) == ("applied", waiting.digest, 1)


def test_outside_the_window_nothing_is_applied(stack: Stack) -> None:
    closed = stack.run(open=False)
    assert (closed.outcome, closed.phase, stack.emulated.vms) == ("planned", "window", {})


def test_more_removals_than_the_threshold_wait_for_approval(stack: Stack) -> None:
    networks = [
        document("Network", f"network{i}", {"via": "gpu-a", "cidr": f"192.168.{60 + i}.0/24"}) for i in range(7)
    ]
    stack.write(*networks)
    made = stack.run()
    assert made.outcome == "applied", made.diagnostics
    stack.write(networks[0])
    waiting = stack.run()
    assert (waiting.phase, waiting.approval) == ("approval", "more removals than the threshold")
    assert stack.run(approval=known(waiting, "approved")).outcome == "applied"
    assert stack.emulated.left == 1


def test_a_lock_held_elsewhere_is_waited_for_and_its_holder_is_named(stack: Stack) -> None:
    with stack.load().locked("apply"):
        ended = stack.run()
    assert (ended.outcome, ended.phase) == ("interrupted", None)
    assert "Held by: command apply" in ended.message
    assert [problem.remedy.partition(":")[0] for problem in ended.diagnostics] == ["Wait"]


def test_a_policy_fails_the_run(stack: Stack) -> None:
    directory = stack.emulated.project.directory
    file = directory / "dbc-iac.yaml"
    file.write_text(file.read_text() + "  policies: [{name: no, deny: 'true', message: not today}]\n")
    refused = stack.run()
    assert (refused.outcome, refused.phase, refused.message) == ("failed", "failed", "VirtualMachine/a: not today")


def test_a_state_in_the_checkout_is_refused(stack: Stack) -> None:
    (stack.emulated.project.directory / "dbc-iac.yaml").write_text(PROJECT)
    assert stack.run().message == "the state in state is lost with the checkout"


def test_plan_options_of_a_run_are_the_defaults(stack: Stack) -> None:
    planned = stack.run(mode="observe")
    assert planned.plan is not None
    assert convert(planned.plan.options, PlanOptions) == PlanOptions()
