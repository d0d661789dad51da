"""No command that looks shows a secret, as text or as JSON, unless the user asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.test_instances import MANAGER_SEED, SERVER_ID, SERVER_KEY
from tests.projects import NODE_ID, SEED, Emulated, document, project, vm

MANAGER_ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
WORLD: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID}],
    "imageServers": [{"id": "ID_1", "images": [{"name": "torch.qcow2"}]}],
    "machines": {NODE_ID: {"orders": ["112"]}, SERVER_ID: {"renter": "tenant"}},
    "managers": [
        {
            "seed": MANAGER_SEED,
            "servers": [
                {
                    "uuid": "one", "ip": "198.51.100.1", "ipmiHostname": "192.168.0.1", "ipmiUsername": "admin",
                    "ipmiPassword": "canaryipmi", "nodePrivateKey": SERVER_KEY,
                }
            ],
        }
    ],
    "bmcs": [{"host": "192.168.0.1", "password": "canaryipmi"}],
    "deeplinks": [{"ip": "198.51.100.1", "devicePassword": "canarylink"}],
}  # fmt: skip
DOCUMENTS = (
    document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"}),
    vm(network="training", login={"password": {"env": "PW"}}),
    document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"}),
    document("BareMetalInstance", "box", {"nodeId": SERVER_ID, "identity": "tenant"}),
)
LOOKS: list[tuple[str, str]] = [
    ("node list", "gpu-a"),
    ("node list --all", f"{NODE_ID[:12]}…"),
    ("node show gpu-a", "ubuntu.qcow2"),
    (f"node show {NODE_ID}", "renting"),
    ("node clients", "0.4.1.8"),
    ("node monitor gpu-a", ""),
    ("vm list", "trainer"),
    ("vm list --node gpu-a", "running"),
    ("vm show trainer", "data_"),
    ("vm logs trainer -n 99", "task"),
    ("vm ssh trainer", "ssh -p 20000"),
    ("disk list trainer", "vdb"),
    ("snapshot list trainer", ""),
    ("image list", "torch.qcow2"),
    ("image list --node gpu-a", "ubuntu.qcow2"),
    ("network list", "Network/training"),
    ("network show training", "192.168.66.0/24"),
    ("server list rack", "198.51.100.1"),
    ("server show one --manager rack", "one"),
    ("server show box", "198.51.100.1"),
    ("server power box status", "off"),
    ("deeplink get box", "123456789"),
    ("wallet address", "tenant"),
    ("api /tasks --node gpu-a", "errcode"),
    ("api /tasks/VM --node gpu-a", "login_password"),
    ("api /tasks/logs/VM --node gpu-a", "log_content"),
    ("api /bare_metal --node rack", "ipmi_password"),
    ("api /deeplink --node box", "device_password"),
    ("api /mining_nodes/session_id --node gpu-a --yes", "session_id"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    environ = {"PW": "canarypw", "KEY": MANAGER_SEED}
    made = project(tmp_path_factory.mktemp("day2"), *DOCUMENTS, environ=environ)
    file = made.directory / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    emulated = Emulated(made, WORLD)
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    yield emulated
    emulated.close()


@pytest.mark.parametrize(("line", "text"), LOOKS, ids=[line for line, _ in LOOKS])
def test_what_is_looked_at_is_shown_without_secrets(running: Emulated, line: str, text: str) -> None:
    [task_id] = running.vms
    arguments = line.replace("VM", task_id).split()
    said, value = running.run(*arguments), running.run(*arguments, "--json")
    assert (said.code, value.code) == (0, 0), said.err + value.err
    assert text in said.out
    json.loads(value.out)
    [machine] = running.network.nodes[NODE_ID].truth()["vms"].values()
    sessions = [s.id for s in running.network.nodes[NODE_ID].authority.sessions.values()]
    secrets = ["canary", MANAGER_SEED, SEED, SERVER_KEY, machine["vnc_password"], machine["login_password"], *sessions]
    for secret in secrets:
        assert secret not in said.out + said.err + value.out + value.err


ORDERS = {
    "vm show trainer": [
        "resource", "taskId", "status", "desc", "createTime", "os", "sshIp", "sshPort", "rdpPort", "vncPort", "userName",
        "loginPassword", "vncPassword", "cpuCores", "gpuCount", "memSize", "networkName", "rentOrder", "localAddress",
        "disks", "networkFilters", "interface",
    ],
    "node show gpu-a": [
        "name", "id", "version", "ip", "os", "cpuType", "cpuCores", "physicalCpus", "gpuCount", "gpuUsed", "memSizeGib",
        "memFreeGib", "disks", "images", "gpuFree", "orders",
    ],
    "server show one --manager rack": [
        "resource", "manager", "nodeId", "uuid", "ip", "os", "description", "ipmiHostname", "ipmiPort", "ipmiUsername",
        "ipmiPassword", "powerStatus", "deeplinkDeviceId", "deeplinkDevicePassword",
    ],
    "server show box": [
        "resource", "nodeId", "version", "ip", "os", "description", "powerStatus", "deeplinkDeviceId",
        "deeplinkDevicePassword",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("line", "keys"), ORDERS.items(), ids=ORDERS)
def test_objects_are_shown_with_their_identity_first(running: Emulated, line: str, keys: list[str]) -> None:
    shown = running.run(*line.split(), "--json").json
    assert [*shown] == keys
    if line.startswith("vm"):
        assert [*shown["disks"][0]] == ["name", "sizeGib", "sourceFile"]


@pytest.mark.parametrize(
    "line",
    ["stack list", "state list", "orphans", *(line for line, _ in LOOKS if line.split()[1] in {"list", "clients"})],
)
def test_a_list_is_a_json_array(running: Emulated, line: str) -> None:
    assert isinstance(running.run(*line.split(), "--json").json, list)
