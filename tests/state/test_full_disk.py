"""The disk fills up during an apply: exit code 7 and one problem, and the next run goes on from the journal."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dbc_iac.state.files import Files
from tests.projects import Emulated, project, vm


@pytest.mark.parametrize("step", [3, 4, 5, 6, 7])
def test_a_full_disk_is_told_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("plan").code == 0
    count = [0]
    whole = Files.write

    def write(self: Files, descriptor: int, content: bytes) -> None:
        count[0] += 1
        if count[0] >= step:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(self, descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", write)
        result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes) in [(7, ["journal-not-written"]), (7, ["state-not-written"])], result.err
    emulated.settle()
    assert emulated.run("apply", "--yes").code == 0
    assert len(emulated.vms) == 1
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    emulated.close()
