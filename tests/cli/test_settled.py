"""An apply with nothing to do writes to the state what already holds as the documents have it now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator.gpu.states import DomainState
from tests.cli.commands.test_import import EVERYTHING, IMAGE_SERVERS, PORTS
from tests.cli.runs import applied, write
from tests.cli.test_fields import SERVER, bare_metal
from tests.projects import Emulated, document, vm

IMAGES = (
    document("Image", "base", {"node": "gpu-a", "imageServer": "ID_1", "file": "ubuntu.qcow2"}),
    document("ImageExport", "copy", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"}),
)


FINDS_IT = frozenset({"imageServer", "file"})
"""Fields by which an object is looked up, and that are observed only once it is found."""


def state(emulated: Emulated) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((emulated.project.directory / "state/main.json").read_text())
    return read


def bindings(emulated: Emulated) -> dict[str, Any]:
    found: dict[str, Any] = state(emulated)["bindings"]
    return found


def forget_values(emulated: Emulated, keeps: Callable[[dict[str, Any], str], bool]) -> None:
    """Remove values from the state, as if they had been reached by somebody else's hand."""
    changes = {c["address"]: c for c in emulated.run("plan", "--json").json["changes"]}
    document = state(emulated)
    for address, binding in document["bindings"].items():
        applied = binding["applied"]
        binding["applied"] = {p: v for p, v in applied.items() if keeps(changes[address], p)}
    (emulated.project.directory / "state/main.json").write_text(json.dumps(document))


def assert_settled(emulated: Emulated) -> None:
    """The plan is empty; after an apply of it every field of every resource is in the state as it is desired."""
    planned = emulated.run("plan", "--detailed-exitcode", "--json")
    assert planned.code == 0, planned.out + planned.err
    before = bindings(emulated)
    applied(emulated)
    after = bindings(emulated)
    assert after != before
    for change in planned.json["changes"]:
        if change["desired"]:
            kept = after[change["address"]]
            wanted = {**change["desired"], **change["secrets"]}
            assert {p: kept["applied"].get(p) for p in wanted} == wanted
            assert sorted(kept["dependencies"]) == sorted(change["dependencies"])


@pytest.mark.parametrize("documents", [EVERYTHING, IMAGES], ids=["machines", "images"])
def test_every_reported_field_of_an_empty_plan_is_written_to_the_state(
    world: Callable[..., Emulated], documents: tuple[str, ...]
) -> None:
    emulated = world(*documents, **IMAGE_SERVERS)
    applied(emulated)
    forget_values(emulated, lambda change, path: path not in change["observed"] or path in FINDS_IT)
    assert_settled(emulated)


def test_a_state_without_the_values_that_find_an_object_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(*IMAGES, **IMAGE_SERVERS)
    applied(emulated)
    forget_values(emulated, lambda change, path: path not in FINDS_IT)
    refused = emulated.run("plan", "--json")
    assert (refused.code, refused.codes) == (1, ["state-corrupt"])
    assert "the state of Image" in refused.err


def test_every_reported_field_of_a_server_is_written_to_the_state(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    forget_values(emulated, lambda change, path: path not in change["observed"])
    assert_settled(emulated)
    emulated.close()


def test_power_that_somebody_else_switched_first_is_drift_when_it_is_switched_back(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(vm(ports=PORTS, power="off"))
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.set_domain(task_id, DomainState.RUNNING)
    write(emulated, vm(ports=PORTS, power="on"))
    assert_settled(emulated)
    emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
    drift = emulated.run("drift", "--json")
    assert drift.code == 2
    [found] = drift.json["drifts"]
    assert found["fields"] == [{"path": "power", "applied": "on", "observed": "off", "secret": False, "stays": False}]


def test_another_reference_to_the_same_secret_is_written_to_the_state(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS, login={"password": {"env": "PW"}}))
    emulated.project.environ |= {"PW": "canary-login-one", "PW2": "canary-login-one"}
    applied(emulated)
    write(emulated, vm(ports=PORTS, login={"password": {"env": "PW2"}}))
    assert_settled(emulated)


@pytest.mark.parametrize("before", [[], ["Disk/scratch"]], ids=["added", "removed"])
def test_other_dependencies_of_what_stays_are_written_to_the_state(
    world: Callable[..., Emulated], before: list[str]
) -> None:
    after = [] if before else ["Disk/scratch"]
    scratch = document("Disk", "scratch", {"vm": "other", "size": "50Gi"})
    others = (vm("other", ports={"ssh": 20200, "vnc": 20201}), scratch)
    emulated = world(vm(ports=PORTS, dependsOn=before), *others)
    applied(emulated)
    write(emulated, vm(ports=PORTS, dependsOn=after), *others)
    assert_settled(emulated)


def test_a_field_of_ignore_changes_stays_as_it_was_applied(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
    write(emulated, vm(ports=PORTS, lifecycle={"ignoreChanges": ["power"]}))
    applied(emulated)
    assert bindings(emulated)["VirtualMachine/trainer"]["applied"]["power"] == "on"
