"""Guardrails of `apply FILE`: an alteration of the plan file, with a fresh digest, does not lift them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import applied, write
from tests.projects import Emulated, document, vm
from tests.proof.altered import with_digest

FLEET = tuple(vm(f"vm-{n}", gpus=0, cpus=1, memory="1Gi") for n in range(6))
KEPT = vm("kept", gpus=0, lifecycle={"preventDestroy": True})


def planned(emulated: Emulated, *options: str) -> str:
    file = emulated.project.directory / "the.plan"
    emulated.run("plan", "-o", str(file), *options)
    return str(file)


def altered(file: str, alter: Callable[[dict[str, Any]], object]) -> None:
    plan = json.loads(Path(file).read_text())
    alter(plan)
    Path(file).write_text(json.dumps(with_digest(plan)))


def refused(emulated: Emulated, file: str, code: str) -> None:
    before = emulated.vms
    result = emulated.run("apply", file, "--json")
    assert (result.code, result.codes, emulated.vms == before) == (5, [code], True), result.err


@pytest.mark.parametrize(
    ("before", "after", "flags", "option", "code"),
    [
        ((vm(),), (), ("--allow-empty",), {"allow_empty": False}, "empty-manifests"),
        (FLEET, FLEET[:1], ("--max-removals", "90"), {"max_removals": None}, "too-many-removals"),
        ((vm(), KEPT), (vm(),), ("--unprotect", "VirtualMachine/kept"), {"unprotect": []}, "protected"),
    ],
    ids=["empty", "share", "protection"],
)
def test_a_flag_that_is_removed_from_a_plan_file_lifts_nothing(
    world: Callable[..., Emulated],
    before: tuple[str, ...],
    after: tuple[str, ...],
    flags: tuple[str, ...],
    option: dict[str, Any],
    code: str,
) -> None:
    emulated = world(*before)
    applied(emulated)
    write(emulated, *after)
    file = planned(emulated, *flags)
    assert f"Guardrails are lifted by {' '.join(flags)}." in emulated.run("show", file).out
    altered(file, lambda plan: plan["options"].update(option))
    refused(emulated, file, code)
    assert emulated.run("apply", planned(emulated, *flags)).code == 0


def test_a_plan_of_empty_manifests_is_refused_without_its_error_and_with_manifests(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(vm())
    applied(emulated)
    write(emulated)
    file = planned(emulated)
    altered(file, lambda plan: plan.update(diagnostics=[]))
    write(emulated, vm())
    refused(emulated, file, "empty-manifests")


def test_the_last_resource_is_deleted_by_a_plan_file_that_creates_another_one(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(vm())
    applied(emulated)
    write(emulated, vm("other"))
    for options in (("--target", "VirtualMachine/trainer"), ()):
        result = emulated.run("apply", planned(emulated, *options))
        assert result.code == 0, result.err
    assert len(emulated.vms) == 1


def test_a_vm_that_must_stay_on_by_now_is_not_powered_off(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    write(emulated, vm(memory="16Gi"))
    file = planned(emulated)
    write(emulated, vm(memory="16Gi", lifecycle={"offline": "never"}))
    refused(emulated, file, "offline-never")


def test_an_image_is_not_deleted_without_the_vm_that_uses_it(world: Callable[..., Emulated]) -> None:
    image = {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False}
    emulated = world(
        document("Image", "torch", image), vm(image="torch"),
        imageServers=[{"id": "ID_1", "images": [{"name": "torch.qcow2"}]}],
    )  # fmt: skip
    applied(emulated)
    write(emulated)
    file = planned(emulated, "--allow-empty")
    whole = json.loads(Path(file).read_text())
    altered(file, lambda plan: plan["changes"][0].update(users={}))
    result = emulated.run("apply", file, "--json")
    assert (result.code, result.codes) == (5, ["plan-stale"]), result.err
    altered(file, lambda plan: _without_the_vm(plan, whole))
    refused(emulated, file, "image-in-use")


def _without_the_vm(plan: dict[str, Any], whole: dict[str, Any]) -> None:
    image, machine = whole["changes"]
    assert (image["kind"], machine["kind"], [*image["users"]]) == ("Image", "VirtualMachine", [machine["address"]])
    steps = [{**step, "after": []} for step in whole["steps"] if step["address"] == image["address"]]
    plan.update(changes=[{**image, "users": {}}], steps=steps)
