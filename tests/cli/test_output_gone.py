"""An apply completes although its output is lost: a closed reader, a closed terminal, a full disk."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.trials import act
from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
COMMAND = [sys.executable, "-c", "from dbc_iac.__main__ import main; main()"]


class GoneAt(io.StringIO):
    """A stream that fails from a given text on; earlier output is kept."""

    def __init__(self, text: str, error: int = errno.EPIPE, *, terminal: bool = False) -> None:
        super().__init__()
        self.text, self.error, self.terminal, self.gone = text, error, terminal, False

    def write(self, text: str) -> int:
        self.gone = self.gone or self.text in text
        if self.gone:
            raise OSError(self.error, os.strerror(self.error))
        return super().write(text)

    def flush(self) -> None:
        if self.gone:
            raise OSError(self.error, os.strerror(self.error))

    def isatty(self) -> bool:
        return self.terminal


def changed(directory: Path) -> Emulated:
    """A VM that runs, and manifests that want it changed in a window."""
    emulated = Emulated(project(directory, vm()))
    assert emulated.run("apply", "--yes").code == 0
    project(directory, vm(memory="16Gi"), DISK, environ=emulated.project.environ)
    return emulated


def is_done(emulated: Emulated) -> None:
    emulated.settle(60)
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    emulated.close()


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
@pytest.mark.parametrize("moment", ["shutting down", "powered off after", "adding 50 GiB", "powering off…"])
def test_progress_that_nobody_reads_any_more(tmp_path: Path, moment: str, terminal: bool) -> None:
    emulated = changed(tmp_path)
    err = GoneAt(moment, errno.EIO if terminal else errno.EPIPE, terminal=terminal)
    result = emulated.run("apply", "--yes", err=err)
    assert err.gone or terminal  # on a terminal not every line is printed as such
    assert result.code == 0
    assert "1 created, 1 updated, 0 deleted." in result.out
    is_done(emulated)


@pytest.mark.parametrize("flags", [(), ("--json",), ("--events", "-")], ids=["text", "json", "events"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EPIPE, errno.EIO])
def test_standard_output_that_cannot_be_written(tmp_path: Path, flags: tuple[str, ...], error: int) -> None:
    emulated = changed(tmp_path)
    result = emulated.run("apply", "--yes", *flags, out=GoneAt("", error))
    assert result.code == 0, result.err
    assert "the apply continues" in result.err
    is_done(emulated)


def test_the_exit_code_stays_that_of_the_apply(tmp_path: Path) -> None:
    """Everything is gone, and the node refuses the change."""
    emulated = changed(tmp_path)
    refused = {"op": "disk.add", "kind": "refuse", "text": "mount directory:/data have no enough space", "times": 99}
    emulated.loop.run_until_complete(act(emulated, ("/faults", refused)))
    result = emulated.run("apply", "--yes", out=GoneAt(""), err=GoneAt(""))
    assert (result.code, result.out, result.err) == (7, "", "")
    emulated.close()


def test_a_plan_that_cannot_be_shown_is_a_problem_of_the_place(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    result = emulated.run("plan", out=GoneAt("", errno.ENOSPC))
    assert result.code == 1
    assert "cannot write standard output (No space left on device)" in result.err
    assert "bug" not in result.err
    emulated.close()


@pytest.mark.parametrize(
    ("stream", "command", "code"), [("stdout", ["completion", "bash"], 1), ("stderr", ["plan"], 3)]
)
def test_a_process_whose_reader_is_gone_ends_with_its_own_code(
    tmp_path: Path, stream: str, command: list[str], code: int
) -> None:
    """Python itself ends with 120 where it cannot write the rest at its end."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: closed}
        child = subprocess.Popen([*COMMAND, "-C", str(tmp_path), *command], text=True, **streams)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out or err or "") == (code, "")
