"""Taking in what is there: import and rebuild bind it so that the next plan is empty, and nothing is less safe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fields import SERVER, bare_metal
from tests.projects import NODE_ID, Emulated, document, project, vm

PORTS = {"ssh": 20100, "vnc": 20101}
OWN_FILE = {"gpuNodes": [{"id": NODE_ID, "files": ["mydata.qcow2", "data_7_20240101000000.qcow2"]}]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str, directory: str = "lab", **more: Any) -> Emulated:
        (tmp_path / directory).mkdir()
        made.append(Emulated(project(tmp_path / directory, *documents), more))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


def write(emulated: Emulated, *documents: str) -> None:
    project(emulated.project.directory, *documents, environ=emulated.project.environ)


def applied(emulated: Emulated, *options: str) -> None:
    result = emulated.run("apply", "--yes", *options)
    assert result.code == 0, result.out + result.err


def assert_empty(emulated: Emulated) -> None:
    result = emulated.run("plan", "--detailed-exitcode")
    assert result.code == 0, result.out + result.err


def lose_state(emulated: Emulated) -> None:
    shutil.rmtree(emulated.project.directory / "state")


def disk(name: str = "scratch", **changed: Any) -> str:
    return document("Disk", name, {"vm": "trainer", "size": "50Gi", **changed})


def generated(emulated: Emulated) -> str:
    """Forget everything, write manifests for all that is there, and read them."""
    lose_state(emulated)
    shutil.rmtree(emulated.project.directory / "manifests")
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/found")
    assert result.code == 0, result.err
    return (emulated.project.directory / "manifests/found/gpu-a.yaml").read_text()


TAKEN_IN: dict[str, Callable[[Emulated, str], list[str]]] = {
    "import": lambda emulated, task_id: ["import", "VirtualMachine/trainer", task_id],
    "rebuild": lambda emulated, task_id: ["state", "rebuild", "--yes"],
}


@pytest.mark.parametrize("how", TAKEN_IN)
@pytest.mark.parametrize("said", [{}, {"lifecycle": {"preventDestroy": False}}], ids=["by default", "lifted"])
def test_a_vm_with_the_users_own_file_is_taken_in_as_protected_as_it_is_planned(
    world: Callable[..., Emulated], how: str, said: dict[str, Any]
) -> None:
    emulated = world(vm(dataDisk={"size": "20Gi", "file": "mydata.qcow2"}, ports=PORTS, **said), **OWN_FILE)
    applied(emulated)
    [task_id] = emulated.vms
    lose_state(emulated)
    result = emulated.run(*TAKEN_IN[how](emulated, task_id))
    assert result.code == 0, result.err
    assert_empty(emulated)
    write(emulated)
    gone = emulated.run("plan", "--allow-empty", "--json")
    assert gone.code == (0 if said else 5), gone.err


def test_a_server_that_may_be_destroyed_stays_so(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, {**SERVER, "lifecycle": {"preventDestroy": False}})
    applied(emulated)
    lose_state(emulated)
    assert emulated.run("state", "rebuild", "--yes").code == 0
    assert_empty(emulated)
    emulated.close()


@pytest.mark.parametrize("file", ["mydata.qcow2", "data_7_20240101000000.qcow2", None])
def test_a_generated_manifest_names_the_users_own_file(world: Callable[..., Emulated], file: str | None) -> None:
    wanted = {"size": "20Gi"} if file is None else {"size": "20Gi", "file": file}
    emulated = world(vm(dataDisk=wanted, ports=PORTS), **OWN_FILE)
    applied(emulated)
    text = generated(emulated)
    assert f"file: {file}" in text if file else "file:" not in text
    assert_empty(emulated)
    write(emulated)
    shutil.rmtree(emulated.project.directory / "manifests/found")
    gone = emulated.run("plan", "--allow-empty", "--json")
    assert gone.code == (5 if file else 0), gone.err
