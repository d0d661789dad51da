"""The observer of mutating calls: what it reports, and what it lets pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import Emulated, document, project, vm
from tests.proof.ends import Interposed
from tests.proof.watch import Desired, Watch

SIZE = {"x": 50, "y": 60}


def disk(name: str) -> str:
    return document("Disk", name, {"vm": "a", "size": f"{SIZE[name]}Gi"})


def desired(*names: str) -> Desired:
    machine = {"network": "", "image": "ubuntu.qcow2"}
    return Desired(vms={"a": machine}, disks={name: ("a", SIZE[name]) for name in names})


@pytest.mark.parametrize(("asked", "breaches"), [(["y"], 0), (["x", "y"], 1)], ids=["dropped", "kept"])
def test_a_deleted_disk_is_a_breach_unless_its_document_was_dropped(
    tmp_path: Path, asked: list[str], breaches: int
) -> None:
    """One apply drops Disk/x and adds Disk/y of the same VM."""
    emulated = Emulated(project(tmp_path, vm("a"), disk("x")))
    try:
        watch = Watch(emulated)
        watch.begin(desired("x"))
        assert emulated.run("apply", "--yes").code == 0
        project(tmp_path, vm("a"), disk("y"), environ=emulated.project.environ)
        watch.begin(desired(*asked))
        result = Interposed(emulated, watch=watch).run("apply", "--yes", "--allow-data-loss")
        assert result is not None and result.code == 0, result
        assert len([b for b in watch.breaches if "disk/delete" in b]) == breaches
    finally:
        emulated.close()
