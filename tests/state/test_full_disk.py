"""The disk fills up during an apply: it ends with 7 and one problem, no VM is left off, and the next run goes on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.files.writing import write_all
from dbc_iac.state.backends import local
from tests.examples import examples
from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
GROWN = document("Disk", "scratch", {"vm": "trainer", "size": "90Gi"})
SCENARIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "create": ((), (vm(), DISK)),
    "window": ((vm(), DISK), (vm(gpus=2, cpus=8), GROWN)),
    "replace": ((vm(), DISK), (vm(image="win10.qcow2"), DISK)),
    "delete": ((vm(), DISK), (vm(),)),
}
EVERY = examples(suite=4, proof=1)
"""One in so many writes is tried here, and the last; `make prove` tries each."""


@contextmanager
def full_from(monkeypatch: pytest.MonkeyPatch, write: int) -> Iterator[list[int]]:
    """The disk takes nothing from the n-th write on. Counts the writes."""
    count = [0]
    whole = write_all

    def writing(descriptor: int, content: bytes) -> None:
        count[0] += 1
        if count[0] >= write:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(local, "write_all", writing)
        yield count


def prepared(directory: Path, name: str) -> Emulated:
    before, after = SCENARIOS[name]
    emulated = Emulated(project(directory, *before))
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan").code == 0
    project(directory, *after, environ=emulated.project.environ)
    return emulated


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_full_disk_is_reported_no_vm_stays_off_and_the_next_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = prepared(tmp_path / "whole", name)
    with full_from(monkeypatch, 10_000) as count:
        assert whole.run("apply", "--yes", "--allow-data-loss").code == 0
    whole.close()
    assert count[0] > 5
    for write in sorted({*range(1, count[0] + 1, EVERY), count[0]}):
        emulated = prepared(tmp_path / f"{write}", name)
        with full_from(monkeypatch, write):
            result = emulated.run("apply", "--yes", "--allow-data-loss", "--json")
        if write == count[0]:  # the state is written: it is only not kept as a version, too
            assert result.code == 0
        else:
            assert (result.code, result.codes) in [(7, ["journal-not-written"]), (7, ["state-not-written"])], result.err
        off = [m for m in emulated.vms.values() if m["domain"] == "off"]
        if off:  # it has been replaced, and is only to be taken away
            assert len(emulated.vms) == 2
            assert "the new one runs" in result.json["report"]["poweredOff"]["VirtualMachine/trainer"]
        emulated.settle()
        again = emulated.run("apply", "--yes", "--allow-data-loss")
        assert again.code == 0, again.out + again.err
        assert emulated.run("plan", "--detailed-exitcode").code == 0
        [machine] = emulated.vms.values()
        assert machine["domain"] == "running"
        emulated.close()


@pytest.mark.parametrize("name", ["window", "replace"])
def test_the_report_says_which_vm_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    off: list[dict[str, Any]] = []
    for write in range(4, 10):
        emulated = prepared(tmp_path / f"{write}", name)
        refusal = FaultSpec(op="tasks.start", kind="refuse", times=1000, text="allocate gpu failed")
        emulated.network.faults.add(refusal)
        with full_from(monkeypatch, write):
            result = emulated.run("apply", "--yes", "--allow-data-loss", "--json")
        report = result.json["report"] if result.out else {"poweredOff": {}}
        machines = list(emulated.vms.values())
        is_off = any(m["domain"] == "off" for m in machines)
        assert bool(report["poweredOff"]) is is_off
        off += [report["poweredOff"]] if is_off else []
        emulated.close()
    assert off
    assert {a for told in off for a in told} == {"VirtualMachine/trainer"}
