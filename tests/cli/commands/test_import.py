"""Import and rebuild: the next plan is empty, and protection is unchanged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.runs import applied, assert_empty, write
from tests.cli.test_fields import MANAGER, SERVER, bare_metal
from tests.projects import NODE_ID, Emulated, document, vm

PORTS = {"ssh": 20100, "vnc": 20101}
OWN_FILE = {"gpuNodes": [{"id": NODE_ID, "files": ["mydata.qcow2", "data_7_20240101000000.qcow2"]}]}


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


IMPORTED: dict[str, Callable[[Emulated, str], list[str]]] = {
    "import": lambda emulated, task_id: ["import", "VirtualMachine/trainer", task_id],
    "rebuild": lambda emulated, task_id: ["state", "rebuild", "--yes"],
}


@pytest.mark.parametrize("how", IMPORTED)
@pytest.mark.parametrize("said", [{}, {"lifecycle": {"preventDestroy": False}}], ids=["by default", "lifted"])
def test_an_imported_vm_with_a_user_file_is_protected(
    world: Callable[..., Emulated], how: str, said: dict[str, Any]
) -> None:
    emulated = world(vm(dataDisk={"size": "20Gi", "file": "mydata.qcow2"}, ports=PORTS, **said), **OWN_FILE)
    applied(emulated)
    [task_id] = emulated.vms
    lose_state(emulated)
    result = emulated.run(*IMPORTED[how](emulated, task_id))
    assert result.code == 0, result.err
    assert_empty(emulated)
    write(emulated)
    gone = emulated.run("plan", "--allow-empty", "--json")
    assert gone.code == (0 if said else 5), gone.err


@pytest.mark.parametrize("file", ["mydata.qcow2", None])
def test_importing_a_vm_requires_the_user_file_in_its_manifest(
    world: Callable[..., Emulated], file: str | None
) -> None:
    wanted = {"size": "20Gi", "file": file} if file else {"size": "20Gi"}
    other = {"size": "20Gi"} if file else {"size": "20Gi", "file": "mydata.qcow2"}
    emulated = world(vm(dataDisk=wanted, ports=PORTS), **OWN_FILE)
    applied(emulated)
    [task_id] = emulated.vms
    lose_state(emulated)
    write(emulated, vm(dataDisk=other, ports=PORTS))
    refused = emulated.run("import", "VirtualMachine/trainer", task_id, "--json")
    assert (refused.code, refused.codes) == (5, ["cannot-import"])
    assert ("Set `dataDisk.file: mydata.qcow2`" if file else "Remove `dataDisk.file` from") in refused.err
    assert emulated.run("state", "rebuild", "--yes").code == 2
    assert emulated.run("state", "list", "--json").json == []


def test_a_server_that_may_be_destroyed_stays_so(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, {**SERVER, "lifecycle": {"preventDestroy": False}})
    applied(emulated)
    lose_state(emulated)
    assert emulated.run("state", "rebuild", "--yes").code == 0
    assert_empty(emulated)
    emulated.close()


def test_the_objects_found_and_their_addresses_are_logged(
    world: Callable[..., Emulated], caplog: pytest.LogCaptureFixture
) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    [task_id] = emulated.vms
    with caplog.at_level("INFO", "dbc_iac.importing"):
        generated(emulated)
        lose_state(emulated)
        emulated.run("state", "rebuild", "--yes")
    assert "found 1 objects, 1 unmanaged, 0 places not read" in caplog.messages
    assert f"{task_id} can be managed as VirtualMachine/trainer" in caplog.messages
    assert any(
        message.startswith(f"VirtualMachine/trainer is {task_id}: id of generation 1") for message in caplog.messages
    )


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


def files_of(emulated: Emulated, task_id: str) -> list[str]:
    """The system disk, the data disk, and then what was added."""
    return list(emulated.vms[task_id]["disks"])


def lost_with_twins(world: Callable[..., Emulated]) -> tuple[Emulated, str, list[str]]:
    emulated = world(vm(ports=PORTS), disk(), disk("twin"))
    applied(emulated)
    lose_state(emulated)
    [task_id] = emulated.vms
    return emulated, task_id, files_of(emulated, task_id)


WRONG_ANSWERS: dict[str, tuple[list[str], str]] = {
    "no such document": (["Disk/scrath={2}"], "Did you mean Disk/scratch?"),
    "only looked at": (["Node/gpu-a={2}"], "is not in the manifests"),
    "no such file": (["Disk/scratch=/data/none.qcow2"], "has no Disk /data/none.qcow2"),
    "one file for two": (["Disk/scratch={2}", "Disk/twin={2}"], "is already managed as Disk/scratch"),
    "the system disk": (["Disk/scratch={0}"], "is the system disk of a VM"),
    "the data disk": (["Disk/scratch={1}"], "is the data disk of a VM"),
}


@pytest.mark.parametrize(("answers", "said"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_to_a_rebuild_is_refused_and_nothing_is_written(
    world: Callable[..., Emulated], answers: list[str], said: str
) -> None:
    emulated, _, files = lost_with_twins(world)
    result = emulated.run("state", "rebuild", "--yes", *(f"--map={a.format(*files)}" for a in answers))
    assert result.code == 5, result.out
    assert said in result.err
    assert emulated.run("state", "list", "--json").json == []


def test_an_answer_for_a_managed_address_is_refused(world: Callable[..., Emulated]) -> None:
    emulated, _, files = lost_with_twins(world)
    answers = [f"--map=Disk/scratch={files[2]}", f"--map=Disk/twin={files[3]}"]
    assert emulated.run("state", "rebuild", "--yes", answers[0]).code == 0  # the other disk can be identified then
    again = emulated.run("state", "rebuild", "--yes", *answers, "--json")
    assert (again.code, again.codes) == (5, ["cannot-map", "cannot-map"])


def test_one_object_is_bound_to_one_address(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS), disk())
    applied(emulated)
    [task_id] = emulated.vms
    files = files_of(emulated, task_id)
    write(emulated, vm(ports=PORTS), disk(), disk("twin"), vm("two", ports={"ssh": 20200, "vnc": 20201}))
    for address, identity, said in (
        ("VirtualMachine/two", task_id, "is already managed as VirtualMachine/trainer"),
        ("Disk/twin", files[2], "is already managed as Disk/scratch"),
        ("Disk/twin", files[0], "is the system disk of a VM"),
        ("Disk/twin", files[1], "is the data disk of a VM"),
    ):
        result = emulated.run("import", address, identity, "--json")
        assert (result.code, result.codes) == (5, ["cannot-import"])
        assert said in result.err


def test_what_another_stack_made_or_has_is_not_taken_from_it(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS), disk())
    applied(emulated)
    [task_id] = emulated.vms
    take = ["--stack", "other", "import", "VirtualMachine/trainer", task_id]
    held = emulated.run(*take, "--foreign", "--json")
    assert (held.code, held.codes) == (5, ["cannot-import"])
    assert "is already managed by stack main" in held.err
    assert {f["whose"] for f in emulated.run("--stack", "other", "orphans", "--json").json} == {"another stack's"}
    assert emulated.run("state", "rm", "Disk/scratch", "VirtualMachine/trainer", "--yes").code == 0
    made = emulated.run(*take, "--json")
    assert (made.code, made.codes) == (5, ["cannot-import"])
    assert "created by stack main of project lab as trainer" in made.err
    assert f"dbc-iac import --foreign VirtualMachine/trainer {task_id}" in made.err
    over = emulated.run(*take, "--foreign")
    assert over.code == 0
    assert "warning[taken-over]" in over.err
    assert emulated.run("--stack", "other", "import", "Disk/scratch", files_of(emulated, task_id)[2]).code == 0
    assert emulated.run("--stack", "other", "plan", "--detailed-exitcode").code == 0


def test_what_another_project_made_is_taken_over_only_by_the_users_word(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, desc="[dbc-iac:other/prod/thing/1/000000000000]")
    lose_state(emulated)
    for command in (
        ["import", "VirtualMachine/trainer", task_id],
        ["state", "rebuild", f"--map=VirtualMachine/trainer={task_id}"],
    ):
        refused = emulated.run(*command, "--json")
        assert (refused.code, refused.codes) == (5, ["cannot-import"])
        assert "created by stack prod of project other as thing" in refused.err
    assert emulated.run("import", "--foreign", "VirtualMachine/trainer", task_id).code == 0
    assert_empty(emulated)


def test_a_rebuild_leaves_other_stacks_what_they_have(world: Callable[..., Emulated]) -> None:
    lan = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
    emulated = world(lan)
    applied(emulated)
    result = emulated.run("--stack", "other", "state", "rebuild", "--yes")
    assert (result.code, "is already managed by stack main" in result.out) == (2, True)
    assert emulated.run("--stack", "other", "state", "list", "--json").json == []
    assert emulated.run("--stack", "other", "import", "--all", "--generate", "manifests/found").code == 0
    assert emulated.run("--stack", "other", "state", "list", "--json").json == []


@pytest.mark.parametrize("marker", ["other/main/thing", "lab/other/thing"])
def test_a_lan_that_a_vm_of_another_project_or_stack_uses_is_not_imported(
    world: Callable[..., Emulated], marker: str
) -> None:
    used = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
    free = document("Network", "storage", {"via": "gpu-a", "cidr": "192.168.67.0/24"})
    emulated = world(used, free, vm(network="training", ports=PORTS))
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, desc=f"[dbc-iac:{marker}/1/000000000000]")
    generated(emulated)
    assert emulated.run("state", "list", "--json").json == ["Network/storage"]
    found = {f["id"]: f["whose"] for f in emulated.run("orphans", "--json").json}
    assert found == dict.fromkeys(
        (task_id, "training"), "another project's" if "other/main" in marker else "another stack's"
    )


IMAGE_SERVERS = {"imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]}, {"id": "ID_2"}]}
EVERYTHING = (
    document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"}),
    vm(network="training", publicIp="203.0.113.50", description="my vm", ports={**PORTS, "forward": ["tcp,8080:80"]}),
    disk(),
    document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2", "description": "of the beginning"}),
    vm("net", gpus=0, biosMode="pxe", dataDisk=None, ports={"ssh": 20300, "vnc": 20301}),
    vm("win", gpus=0, os="windows", ports={"rdp": 20401, "vnc": 20402}, power="off"),
)


def test_manifests_are_generated_for_fully_visible_objects(world: Callable[..., Emulated]) -> None:
    emulated = world(*EVERYTHING, **IMAGE_SERVERS)
    applied(emulated)
    known = emulated.run("state", "list", "--json").json
    before = emulated.vms
    text = generated(emulated)
    assert emulated.run("state", "list", "--json").json[1:] == known[1:]  # a disk carries no name
    for line in ("publicIp: 203.0.113.50", "env: TRAINER_PASSWORD", "imageServer: ID_2", "of the beginning"):
        assert line in text
    assert text.count("env:") == 2  # not of a VM that boots from the network
    assert before[next(iter(before))]["password"] not in text
    assert_empty(emulated)
    applied(emulated)
    assert emulated.vms == before
    assert emulated.run("orphans").out == "No unmanaged objects.\n"


def test_a_password_by_reference_is_compared_if_available(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    generated(emulated)
    [found] = emulated.vms.values()
    untold = emulated.run("plan", "--detailed-exitcode")
    assert (untold.code, "its value is not available" in untold.out) == (0, True)
    emulated.project.environ["TRAINER_PASSWORD"] = found["password"]
    told = emulated.run("plan", "--detailed-exitcode")
    assert (told.code, "its value is not available" in told.out) == (0, False)
    emulated.project.environ["TRAINER_PASSWORD"] = "another"
    assert emulated.run("plan", "--detailed-exitcode").code == 2


def test_a_snapshot_without_a_file_in_a_image_server_is_an_orphan_only(world: Callable[..., Emulated]) -> None:
    emulated = world(
        vm(ports=PORTS), document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"}), **IMAGE_SERVERS
    )
    applied(emulated)
    emulated.network.image_servers.image_servers["ID_2"].files.clear()
    generated(emulated)
    assert emulated.run("state", "list", "--json").json == ["VirtualMachine/trainer"]
    assert [f["kind"] for f in emulated.run("orphans", "--json").json] == ["Snapshot"]


def test_servers_are_generated_with_references(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    lose_state(emulated)
    (tmp_path / "manifests/all.yaml").write_text(MANAGER)
    assert emulated.run("import", "--all", "--generate", "manifests/found").code == 0
    text = (tmp_path / "manifests/found/rack.yaml").read_text()
    assert "env: IPMI_3156995B" in text
    assert "canaryipmi" not in text
    assert_empty(emulated)
    emulated.close()


GIB = 1024**3


def set_sizes(emulated: Emulated, memory_kib: int, **disks: int) -> None:
    """Sizes of the only VM as its node shows them; disks in bytes."""
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, memory=memory_kib)
    machine = emulated.admin._machine
    for name, size in disks.items():
        disk = machine.records[task_id].disks[name]
        disk.reported_size = machine.files.files[disk.file].virtual_size = size


@pytest.mark.parametrize(
    ("memory", "data", "added", "shown", "written"),
    [
        (8_000_000, 20 * GIB + 1, 50 * GIB + 2**29, ["50.50Gi", "7.63Gi"], ["51Gi", "8Gi", "20Gi"]),
        (512, 20 * GIB + 2**25, 2**20, ["0.01Gi", "0.01Gi", "20.03Gi"], ["1Gi", "1Gi", "21Gi"]),
        (2 * 1024**3, 20 * GIB, 2 * 1024**2 * GIB, ["2097152Gi"], ["1048576Gi", "2048Gi", "20Gi"]),
    ],
)
def test_sizes_that_no_manifest_can_have_are_written_as_the_nearest_and_ignored(
    world: Callable[..., Emulated], memory: int, data: int, added: int, shown: list[str], written: list[str]
) -> None:
    emulated = world(vm(ports=PORTS), disk())
    applied(emulated)
    set_sizes(emulated, memory, vdb=data, vdc=added)
    lose_state(emulated)
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/found", "--json")
    assert (result.code, set(result.codes)) == (0, {"size-not-whole"}), result.err
    assert [d["summary"].split()[2].rstrip(",") for d in json.loads(result.err)["diagnostics"]] == shown
    file = emulated.project.directory / "manifests/found/gpu-a.yaml"
    extra, machine = (one["spec"] for one in yaml.safe_load_all(file.read_text()))
    assert [extra["size"], machine["memory"], machine["dataDisk"]["size"]] == written
    assert [line.split()[5].rstrip(":") for line in file.read_text().splitlines() if "ignores" in line] == shown
    assert_empty(emulated)


def test_an_object_with_an_ignored_size_is_changed_otherwise_also_by_a_plan_file(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    set_sizes(emulated, 8_000_000, vdb=20 * GIB + 2**29)
    [(task_id, before)] = emulated.vms.items()
    emulated.project.environ["TRAINER_PASSWORD"] = before["password"]
    file = emulated.project.directory / "manifests/found/gpu-a.yaml"
    text = generated(emulated)
    for cpus, options in ((6, ()), (8, (str(tmp_path / "plan"),))):
        file.write_text(text.replace("cpus: 4", f"cpus: {cpus}"))
        if options:
            assert emulated.run("plan", "-o", *options).code == 0
        applied(emulated, *options)
        [now] = emulated.vms.values()
        assert (now["cores"], emulated.admin.truth()["vms"][task_id]["memory"]) == (cpus, 8_000_000)
        assert_empty(emulated)


def test_objects_whose_size_the_node_does_not_show_are_left_out_with_a_warning(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS), disk(), disk("twin"))
    applied(emulated)
    set_sizes(emulated, 8 * 1024**2, vdc=0)
    lose_state(emulated)
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/found")
    assert result.code == 0, result.err
    assert "warning[not-imported]: a Disk is not imported: the API does not show its size" in result.err
    assert [address.partition("/")[0] for address in emulated.run("state", "list", "--json").json] == [
        "Disk", "VirtualMachine"
    ]  # fmt: skip
    set_sizes(emulated, 8 * 1024**2, vdb=0)
    lose_state(emulated)
    write(emulated)
    shutil.rmtree(emulated.project.directory / "manifests/found")
    result = emulated.run("import", "--all", "--generate", "manifests/found", "--json")
    assert (result.code, result.codes) == (0, ["not-imported", "not-imported"])
    assert "VirtualMachine" in result.err
    assert "does not show its dataDisk.size" in result.err
    assert emulated.run("state", "list", "--json").json == []


DESCRIBED = (
    document("Network", "lan", {"via": "gpu-a", "name": "trainnet", "cidr": "192.168.66.0/24"}),
    vm(network="lan", ports=PORTS),
    disk(),
    document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"}),
)


@pytest.mark.parametrize("everything", [False, True], ids=["one lost", "all lost"])
def test_objects_that_manifests_describe_are_imported_under_their_addresses(
    world: Callable[..., Emulated], everything: bool
) -> None:
    emulated = world(*DESCRIBED, **IMAGE_SERVERS)
    applied(emulated)
    known = emulated.run("state", "list", "--json").json
    for address in ("Network/lan", "Snapshot/first", "Disk/scratch"):
        if not everything:
            assert emulated.run("state", "rm", address, "--yes").code == 0
    if everything:
        lose_state(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/found")
    assert result.code == 0, result.err
    assert "Imported trainnet as Network/lan." in result.out
    assert emulated.run("state", "list", "--json").json == known
    assert not (emulated.project.directory / "manifests/found").exists()
    assert_empty(emulated)


@pytest.mark.parametrize(
    ("manifest", "warned"),
    [
        (document("Network", "lan", {"via": "gpu-a", "name": "trainnet", "external": True}), []),
        (disk("other", size="60Gi"), ["not-imported"]),
        (vm("web", dataDisk={"size": "20Gi"}, ports={"ssh": 20200, "vnc": 20201}), ["not-imported"]),
    ],
    ids=["external", "one of several", "another file"],
)
def test_an_object_that_a_resource_may_describe_gets_no_second_manifest(
    world: Callable[..., Emulated], manifest: str, warned: list[str]
) -> None:
    lan = document("Network", "lan", {"via": "gpu-a", "name": "trainnet", "cidr": "192.168.66.0/24"})
    web = vm("web", dataDisk={"size": "20Gi", "file": "mydata.qcow2"}, ports={"ssh": 20200, "vnc": 20201})
    emulated = world(vm(ports=PORTS), disk(), lan, web, **OWN_FILE)
    applied(emulated)
    lost = {"Network": "Network/lan", "Disk": "Disk/scratch", "VirtualMachine": "VirtualMachine/web"}
    kind = yaml.safe_load(manifest)["kind"]
    assert emulated.run("state", "rm", "--yes", lost.pop(kind)).code == 0
    others = {"Disk": disk(), "Network": lan, "VirtualMachine": web}
    write(emulated, vm(ports=PORTS), *(others[one] for one in lost), manifest)
    known = emulated.run("state", "list", "--json").json
    result = emulated.run("import", "--all", "--generate", "manifests/found", "--json")
    assert (result.code, result.codes if warned else []) == (0, warned), result.err
    assert emulated.run("state", "list", "--json").json == known
    assert not (emulated.project.directory / "manifests/found").exists()


def test_a_server_that_a_manifest_describes_is_imported_under_its_address(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    known = emulated.run("state", "list", "--json").json
    lose_state(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/found")
    assert (result.code, emulated.run("state", "list", "--json").json) == (0, known), result.err
    assert not (tmp_path / "manifests/found").exists()
    emulated.close()


def test_an_import_of_all_that_fails_leaves_no_files(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    lose_state(emulated)
    write(emulated)
    refused = emulated.run("import", "--all", "--generate", "elsewhere", "--json")
    assert (refused.code, refused.codes) == (3, ["not-in-globs"])
    assert not (emulated.project.directory / "elsewhere").exists()
