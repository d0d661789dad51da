"""Ctrl-C in the middle of an apply, sent at the moment at which a line is told."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


class SignalAt(io.StringIO):
    """Sends a signal to this process whenever a text is written, so many times."""

    def __init__(self, text: str, number: int, times: int = 1) -> None:
        super().__init__()
        self.text, self.number, self.times = text, number, times

    def write(self, text: str) -> int:
        if self.text in text and self.times:
            self.times -= 1
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
