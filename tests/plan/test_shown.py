"""Any applied, observed and desired VM with any ignored fields: an update keeps them, a replacement shows them all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.projects import NODE_ID, Emulated, document, project, vm
from tests.proof.shown import unshown

ADDRESS = "VirtualMachine/trainer"
SPECS: dict[str, list[Any]] = {
    "gpus": [0, 1, 2],
    "cpus": [2, 4, 8],
    "memory": ["4Gi", "8Gi"],
    "description": ["", "one", "two"],
    "firewall": [[], ["in,tcp,22,0.0.0.0/0,accept"], ["in,tcp,80,0.0.0.0/0,accept"]],
    "image": ["ubuntu.qcow2", "win10.qcow2"],
    "multicast": [[], ["239.1.2.3:5000"]],
    "network": [None, "training"],
    "power": ["on", "off", "unmanaged"],
    "publicIp": [None, "203.0.113.50", "203.0.113.51"],
    "restartOn": [None, "one", "two"],
    "login": [None, {"password": {"env": "PW"}}, {"username": "alice", "password": {"env": "PW2"}}],
    "ports": [
        {"ssh": "auto", "vnc": "auto"},
        {"ssh": 21001, "vnc": 21002},
        {"ssh": 21003, "vnc": 21004, "rdp": 21005, "forward": ["tcp,8080:80"]},
    ],
}
SPEC = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SPECS.items()})
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
DISK = {"vm": "trainer", "size": "30Gi"}


@settings(
    max_examples=examples(suite=8, proof=100),
    derandomize=True,
)
@given(SPEC, SPEC, st.sets(st.sampled_from([*SPECS, "ports.ssh", "ports.forward", "login.username"])), st.booleans())
def test_a_new_object_gets_what_is_shown(
    before: dict[str, Any], after: dict[str, Any], ignored: set[str], disk: bool
) -> None:
    environ = {"PW": "canary-login-one", "PW2": "canary-login-two"}
    disks = [document("Disk", "d", DISK)] if disk else []
    grown = [document("Disk", "d", {**DISK, "size": "60Gi", "lifecycle": {"ignoreChanges": ["size"]}})] if disk else []
    with tempfile.TemporaryDirectory() as folder:
        made = project(Path(folder), LAN, vm(**before), *disks, environ=environ)
        emulated = Emulated(made, {"gpuNodes": [{"id": NODE_ID, "gpus": 4}]})
        try:
            check(emulated, before, after, ignored, grown)
        finally:
            emulated.close()


def check(
    emulated: Emulated, before: dict[str, Any], after: dict[str, Any], ignored: set[str], grown: list[str]
) -> None:
    assert emulated.run("apply", "--yes").code == 0
    # What is ignored is another value in the manifest, and what is not is as it was: nothing is to be done.
    only_ignored = {name: after[name] if name in ignored else before[name] for name in SPECS}
    rest = {name: before[name] if name in ignored else after[name] for name in SPECS}
    for spec in (only_ignored, after, rest):
        written = vm(**spec, lifecycle={"ignoreChanges": sorted(ignored)})
        project(emulated.project.directory, LAN, written, *grown, environ=emulated.project.environ)
        if spec is only_ignored:
            plan = emulated.run("plan", "--detailed-exitcode")
            assert plan.code == 0, plan.out + plan.err
        replaced = emulated.run("plan", "--json", "--replace", ADDRESS)
        assert replaced.code == 0, replaced.err
        assert unshown(replaced.json) == []
