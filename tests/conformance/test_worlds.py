"""World lines of recordings, including incomplete ones, larger ones, and ones of a running world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.gpu.states import DomainState
from tests.conformance.compare import time_differences
from tests.conformance.replay import Replay
from tests.conformance.test_compare import WORLD, exchange, lines, version
from tests.conformance.worlds import world_of
from tests.emulator.front import MANAGER_ID, SEED, SERVER_ID, WALLET, run

GPU = "2" * 64
TASK = "7a7F4y4wjLSDUtK7nKQNNG"
DISKS = [
    {"name": "vda", "size": "400.06G", "source_file": "/data/vm_1_20240101000000.qcow2"},
    {"name": "vdb", "size": "10G", "source_file": "/data/mine.qcow2"},
    {"name": "vdd", "size": "1.5G", "file": "/data2/data_3_20240101000000.qcow2"},
]
VM = {
    "task_id": TASK,
    "wallet": WALLET,
    "status": "closed",
    "cpu_cores": 2,
    "mem_size": "4G",
    "login_password": "abcdefghijklmnop",
    "vnc_password": "another1",
    "interface": [{"name": "default", "type": "virtio", "mac_address": "52:54:00:01:02:03"}],
    "disks": DISKS,
}


def network(**changes: Any) -> Network:
    return Network(WorldSpec.model_validate(world_of({**WORLD, **changes})))


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in WORLD.items() if k != key}


@pytest.mark.parametrize(
    "key", ["hardware", "wallets", "images", "bmcs", "bare_metal_servers", "chain", "replay_notes"]
)
def test_a_world_may_be_incomplete(key: str) -> None:
    assert Network(WorldSpec.model_validate(world_of(without(key)))).clients


@pytest.mark.parametrize("name", ["gpu", "bare_metal"])
def test_a_world_need_not_have_every_node(name: str, tmp_path: Path) -> None:
    nodes = {key: node for key, node in WORLD["nodes"].items() if key != name}
    file = tmp_path / "a.jsonl"
    world = json.dumps({**WORLD, "nodes": nodes})
    file.write_text("\n".join((world, *lines(version(1), {"event": "chain", "machines": {}}).splitlines()[1:])) + "\n")
    assert Replay(file).run().matched == 1


def test_wallets_without_keys_are_known_by_their_addresses() -> None:
    nodes: dict[str, Any] = {**WORLD["nodes"], "bare_metal": {"node_id": MANAGER_ID}}
    server = {"node_id": SERVER_ID, "uuid": "a", "ip": "1.1.1.1", "ipmi_hostname": "h", "ipmi_username": "u"}
    made = network(
        nodes=nodes, wallets={"renter": {"ss58": WALLET}}, bare_metal_servers=[{**server, "ipmi_password": "p"}]
    )
    assert (made.wallets, list(made.managers)) == ({"renter": WALLET}, [MANAGER_ID])
    assert list(made.managers[MANAGER_ID].servers.by_id) == [SERVER_ID]


@pytest.mark.parametrize("place", ["node", "world", "hardware"])
def test_the_address_of_the_host_may_be_in_several_fields(place: str) -> None:
    unknown = {"host_ip": "10.1.2.3"}
    nodes: Mapping[str, Any] = {**WORLD["nodes"], "gpu": {**WORLD["nodes"]["gpu"], **unknown}}
    hardware = {"gpu": {**WORLD["hardware"]["gpu"], **unknown}}
    changes: dict[str, dict[str, Any]] = {
        "node": {"nodes": nodes},
        "world": {"host_ip": "10.1.2.3"},
        "hardware": {"hardware": hardware},
    }
    made = changes[place]
    assert network(**made).nodes[GPU].spec.host_ip == "10.1.2.3"


def test_an_initial_vm_has_its_recorded_values() -> None:
    async def test() -> None:
        made = network(vms=[VM])
        made.begin()
        machine = made.nodes[GPU].node.machine
        record, domain = machine.records[TASK], machine.libvirt.domains[TASK]
        assert [(d.name, d.file) for d in record.disks.values()] == [
            (d["name"], d.get("source_file") or d["file"]) for d in DISKS
        ]
        assert record.vnc_password == "another1"
        assert domain.mac == "52:54:00:01:02:03"
        assert len(machine.logs.lines[TASK]) == 11
        vda = machine.files.get(record.disks["vda"].file)
        assert vda is not None
        assert vda.virtual_size == record.disks["vda"].reported_size

    run(test)


@pytest.mark.parametrize(
    ("recorded", "state"),
    [
        ("blocked", DomainState.BLOCKED),
        ("crashed", DomainState.CRASHED),
        ("suspended to RAM", DomainState.PMSUSPENDED),
        ("paused", DomainState.PAUSED),
        ("shutting down", DomainState.SHUTDOWN),
        ("defined, off", DomainState.SHUTOFF),
        ("no domain", DomainState.NONE),
    ],
)
def test_a_domain_has_its_recorded_state(recorded: str, state: DomainState) -> None:
    async def test() -> None:
        made = network(vms=[{**VM, "domain": recorded}])
        made.begin()
        assert made.nodes[GPU].node.machine.libvirt.state(TASK) is state

    run(test)


def test_files_created_by_the_node_are_based_on_an_image() -> None:
    images = {
        "gpu:/data": [{"name": "ubuntu.qcow2", "bytes": 5, "virtual_bytes": 99}, {"name": "copy.qcow2", "bytes": 5}],
        "ID_1": [{"name": "snap_1_20240101000000_vda.qcow2", "bytes": 7}],
    }
    made = network(images=images, image_servers_of_client=["ID_1"])
    files = made.nodes[GPU].node.machine.files
    copy = files.get("/data/copy.qcow2")
    assert copy is not None
    assert (copy.virtual_size, copy.base) == (99, "")
    assert (
        made.image_servers.image_servers["ID_1"].files["snap_1_20240101000000_vda.qcow2"].base == "/data/ubuntu.qcow2"
    )


def test_a_lan_of_another_node_and_a_slow_guest() -> None:
    async def test() -> None:
        lan = {"network_name": "testnet", "ip_cidr": "10.0.0.0/24", "rent_wallet": WALLET, "machine_id": "f" * 64}
        made = network(lans=[lan], guest={"dhcp_address_after_s": "about 30"})
        made.begin()
        process = made.nodes[GPU]
        shown = process.node.machine.lan.networks["testnet"]
        assert (shown.machine_id, shown.flags) == ("f" * 64, 0)
        assert process.spec.guest.boot_seconds == 27

    run(test)


def test_recorded_nonces_count_as_used(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    world = {**WORLD, "used_nonces": [{"node": "gpu", "nonce": "old"}, "older"], "wallets": {"a": {"seed": SEED}}}
    file.write_text("\n".join((json.dumps(world), *lines(version(1)).splitlines()[1:])) + "\n")
    replay = Replay(file)
    assert replay.run().matched == 1
    assert set(replay.network.nodes[GPU].authority.nonces) == {"old", "older"}


@pytest.mark.parametrize(
    ("elapsed", "path", "took", "differs"),
    [
        (30_012, "/x", 30.0, False),
        (30_012, "/x", 0.1, True),
        (12, "/x", 30.0, True),
        (12, "/x", 20.0, False),
        (3_004, "/api/v1/tasks/passwd/t", 3.0, False),
        (3_004, "/api/v1/tasks/passwd/t", 0.1, True),
        (3_004, "/api/v1/tasks/start/t", 0.1, False),
    ],
)
def test_only_meaningful_durations_are_compared(elapsed: int, path: str, took: float, differs: bool) -> None:
    line = exchange({}, elapsed_ms=elapsed, request={"method": "POST", "path": path, "headers": {}, "body": "{}"})
    assert bool(list(time_differences(line, took))) is differs
    left_out = exchange({}, **{**line.values, "compare": "not the time"})
    assert not list(time_differences(left_out, took))


def test_the_recordings_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(version(1)))
    code = "from tests.recordings import RECORDINGS; print(RECORDINGS)"
    for place, text in ((tmp_path, str(tmp_path)), (tmp_path / "none", "NotADirectoryError")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "RECORDINGS": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert text in done.stdout + done.stderr
