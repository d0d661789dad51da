"""GPUs, memory, data disk, extra disk and a snapshot of a VM in one change: one window, one power cycle."""

from __future__ import annotations

import re
from pathlib import Path

from tests.projects import Emulated, document, project, vm
from tests.proof.ends import Interposed

WINDOW = r"""  1\. VirtualMachine/trainer: power-off window of about \d+ s
       Disk/extra: adding 30 GiB in /data
       Disk/scratch: resizing disk \S+ to 90 GiB
       Snapshot/first: creating snapshot first
       setting gpus to 2
       setting memory to 16Gi
       resizing disk \S+ to 40 GiB
  2\. Snapshot/first: uploading the file of snapshot first to image server ID_2
"""
BEFORE = (vm(), document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"}))
AFTER = (
    vm(gpus=2, memory="16Gi", dataDisk={"size": "40Gi"}),
    document("Disk", "scratch", {"vm": "trainer", "size": "90Gi"}),
    document("Disk", "extra", {"vm": "trainer", "size": "30Gi"}),
    document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"}),
)
SLACK = 14.0
"""Seconds of observation: two for each of six goals with an observed effect, and two for the power."""


def test_five_changes_of_one_vm_are_one_power_cycle(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, *BEFORE))
    try:
        assert emulated.run("apply", "--yes").code == 0
        project(tmp_path, *AFTER, environ=emulated.project.environ)
        plan = emulated.run("plan").out
        assert re.search(WINDOW, plan), plan
        interposed = Interposed(emulated)
        result = interposed.run("apply", "--yes")
        assert result is not None and result.code == 0, result
        power = [path.split("/")[4] for path in interposed.calls if "/start/" in path or "/shutdown/" in path]
        assert power == ["shutdown", "start"]
        durations = emulated.network.spec.gpu_nodes[0].durations
        jobs = 3 * durations.disk + durations.snapshot + 2 * durations.answer
        alone = durations.stop + jobs + durations.start
        off = int(re.search(r"window closed after (\d+) s", result.err)[1])  # type: ignore[index]
        assert off <= alone + SLACK, (off, alone)
        [machine] = emulated.vms.values()
        assert (machine["domain"], sorted(machine["disks"].values())) == ("running", [20, 30, 40, 90])
        assert emulated.run("plan", "--detailed-exitcode").code == 0
    finally:
        emulated.close()
