"""Ctrl-C in the middle of an apply, sent at the moment at which a line is told."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


class SignalAt(io.StringIO):
    """Sends a signal to this process whenever a text is written, so many times."""

    def __init__(self, text: str, number: int, times: int = 1, at_once: int = 1) -> None:
        super().__init__()
        self.text, self.number, self.times, self.at_once = text, number, times, at_once

    def write(self, text: str) -> int:
        if self.text in text and self.times:
            self.times -= 1
            for _ in range(self.at_once):
                os.kill(os.getpid(), self.number)
        return super().write(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["vm-exists", "powered off for", "disk-exists", "is powered off: being shutdown"])
def test_the_first_signal_finishes_what_is_in_flight_and_closes_windows(
    tmp_path: Path, moment: str, number: int
) -> None:
    emulated = Emulated(project(tmp_path, vm(), DISK))
    result = emulated.run("apply", "--yes", err=SignalAt(moment, number))
    assert result.code == 8, result.out + result.err
    assert "stopping: nothing new is started" in result.err
    emulated.settle(60)
    machines: list[dict[str, Any]] = list(emulated.vms.values())
    assert all(m["domain"] == "running" for m in machines)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    emulated.close()


def test_the_second_signal_leaves_at_once_and_the_next_run_goes_on(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm(), DISK))
    result = emulated.run("apply", "--yes", err=SignalAt("waiting", signal.SIGINT, times=2))
    assert result.code == 8
    emulated.settle(600)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    emulated.close()


@pytest.mark.parametrize("moment", ["done          VirtualMachine/trainer: is powered off", "being shutdown"])
@pytest.mark.parametrize("power", ["on", "unmanaged"])
@pytest.mark.parametrize(
    "changed", [vm(memory="16Gi"), vm(multicast=["230.0.0.1:5558"])], ids=["window", "replacement"]
)
def test_a_vm_that_is_down_because_of_us_is_told_and_started_again(
    tmp_path: Path, power: str, changed: str, moment: str
) -> None:
    emulated = Emulated(project(tmp_path, vm(power=power)))
    assert emulated.run("apply", "--yes").code == 0
    given = json.loads(changed)
    given["spec"]["power"] = power
    project(tmp_path, json.dumps(given), environ=emulated.project.environ)
    left = emulated.run("apply", "--yes", err=SignalAt(moment, signal.SIGINT, at_once=2))
    assert left.code == 8
    assert "VirtualMachine/trainer is down because of us" in left.err
    emulated.settle(60)
    plan = emulated.run("plan")
    assert "Recovery: VirtualMachine/trainer: it is down because of us" in plan.out
    project(tmp_path, vm(power=power), environ=emulated.project.environ)  # and the change itself is taken back
    assert emulated.run("apply", "--yes").code == 0
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    emulated.close()
