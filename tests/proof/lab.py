"""A small lab with a resource of every kind, another tenant, and edits that cause every action.

It defines the expected final state: managed objects by name and size, and unchanged objects of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbc_iac.emulator.admin import Admin
from dbc_iac.emulator.crypto import node_id_of
from tests.projects import NODE_ID, PROJECT, Emulated, document, project, vm

MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
MANAGER_ID = node_id_of(MANAGER_SEED)
SERVER_KEY = "11" * 32
SERVER_ID = node_id_of(SERVER_KEY)
FOREIGN = "7otherotherotherother1"
SECRETS = {"KEY": MANAGER_SEED, "IPMI": "canaryipmi", "PW": "canarylogin", "LINK": "canarylink"}
OTHER_SERVER = {
    "uuid": "theirs", "ip": "198.51.100.1", "ipmiHostname": "192.168.0.1", "ipmiUsername": "admin",
    "ipmiPassword": "admin", "nodePrivateKey": SERVER_KEY,
}  # fmt: skip
WORLD: dict[str, Any] = {
    "gpuNodes": [
        {
            "id": NODE_ID,
            "gpus": 6,
            "vms": [
                {
                    "task_id": FOREIGN,
                    "wallet": "another-renter",
                    "status": "closed",
                    "domain": "shut_off",
                    "gpus": 1,
                    "vnc_port": 5999,
                }
            ],
            "lans": [{"networkName": "theirs1", "ipCidr": "10.9.0.0/24", "wallet": "another-renter"}],
        }
    ],
    "imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "torch.qcow2"}]}, {"id": "ID_2"}],
    "managers": [{"seed": MANAGER_SEED, "servers": [OTHER_SERVER], "maintenance": {"every": 0, "first": 1e9}}],
    "machines": {NODE_ID: {"renter": "tenant"}, SERVER_ID: {"renter": "tenant"}},
    "bmcs": [{"host": "192.168.0.1"}, {"host": "192.168.0.9", "password": "canaryipmi"}],
    "deeplinks": [{"ip": "198.51.100.1"}],
}

_LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
MANAGER = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})


def server(ip: str, name: str = "new") -> str:
    bmc = {"host": "192.168.0.9", "username": "admin", "password": {"env": "IPMI"}}
    lifecycle = {"preventDestroy": False}
    return document(
        "BareMetalServer", name, {"manager": "rack", "uuid": "new-1", "ip": ip, "ipmi": bmc, "lifecycle": lifecycle}
    )


def _instance(**spec: Any) -> str:
    return document("BareMetalInstance", "box", {"nodeId": SERVER_ID, "identity": "tenant", **spec})


def _image(**spec: Any) -> str:
    return document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", **spec})


def _export(**spec: Any) -> str:
    return document("ImageExport", "copy", {"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2", **spec})


def _snapshot(name: str) -> str:
    return document("Snapshot", name, {"vm": "trainer", "imageServer": "ID_2"})


def _disk(name: str, size: int) -> str:
    return document("Disk", name, {"vm": "trainer", "size": f"{size}Gi"})


_LOGIN = {"username": "dbc", "password": {"env": "PW"}}

STAGES: Mapping[str, tuple[str, ...]] = {
    "nothing": (),
    "created": (
        _LAN, MANAGER, server("198.51.100.9"), _instance(power="off"), _image(retain=False),
        vm(network="training", ports={"ssh": 20010, "vnc": 20011}, login=_LOGIN),
        vm("worker", gpus=0, ports={"ssh": 20020, "vnc": 20021}), _disk("scratch", 50), _disk("extra", 30), _snapshot("first"),
    ),
    "changed": (
        _LAN, MANAGER, server("198.51.100.19"), _export(),
        _instance(power="on", nextBoot={"device": "pxe", "trigger": "1"}, deeplink={"password": {"env": "LINK"}}),
        vm(network="training", gpus=2, cpus=8, memory="16Gi", dataDisk={"size": "40Gi"}, login=_LOGIN,
           ports={"ssh": 20012, "vnc": 20013}, firewall=["in,tcp,22,0.0.0.0/0,accept"]),
        vm("worker", gpus=0, image="win10.qcow2", ports={"ssh": 20022, "vnc": 20023}),
        _disk("scratch", 90), _disk("third", 10), _snapshot("second"),
    ),
}  # fmt: skip
"""Documents by stage. From one stage to the next and back to none, every kind is created, changed and deleted, a VM is
replaced, and one window adds, grows and deletes disks while a snapshot is taken.
"""

DISKS = {"created": [[20, 20], [20, 20, 30, 50]]}


def lab(directory: Path, stage: str = "nothing", world: Mapping[str, Any] | None = None) -> Emulated:
    """World and project, with the documents of `stage` written."""
    emulated = Emulated(project(directory, environ=dict(SECRETS)), {**WORLD, **(world or {})})
    owner = PROJECT.replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}")
    emulated.project.write({"dbc-iac.yaml": owner})
    write(emulated, stage)
    emulated.loop.run_until_complete(Admin(emulated.network).look("/truth"))  # the world begins
    return emulated


def write(emulated: Emulated, stage: str) -> None:
    project_file = emulated.project.directory / "dbc-iac.yaml"
    kept = project_file.read_text(encoding="utf-8")
    project(emulated.project.directory, *STAGES[stage], environ=emulated.project.environ)
    project_file.write_text(kept, encoding="utf-8")


_APPLY = ("apply", "--yes", "--allow-empty", "--allow-data-loss", "--max-removals", "100")


def apply_command(emulated: Emulated) -> tuple[str, ...]:
    """Delete resources that are no longer in the manifests, the server's identity included, while they are in the state."""
    held = (a for a in emulated.run("state", "list", "--json").json if a.startswith("BareMetalServer/"))
    return (*_APPLY, *(word for address in held for word in ("--destroy-identity", address)))


def ours(emulated: Emulated) -> dict[str, Any]:
    """Managed objects by name and size, without ids, dates and order."""
    truth = emulated.network.truth()
    node = truth[NODE_ID]
    vms = {task_id: shown for task_id, shown in emulated.vms.items() if task_id != FOREIGN}
    names = {task_id: _name(node["vms"][task_id]) for task_id in vms}
    return {
        "vms": sorted(
            (names[i], v["domain"], sorted(v["disks"].values()), len(v["gpus"]), v["cores"]) for i, v in vms.items()
        ),
        "snapshots": sorted((names[i], [s["name"] for s in of]) for i, of in node["snapshots"].items() if i in names),
        "lans": sorted(n for n, lan in node["lans"].items() if lan["wallet"] != "another-renter"),
        "servers": sorted(
            (s["uuid"], s["ip"], s["ipmi_hostname"], s["ipmi_password"]) for s in truth[MANAGER_ID].values()
        ),
        "images": "/data/torch.qcow2" in node["files"],
        "power": sorted(str(bmc) for bmc in emulated.network.bmcs.to_state()),
    }


def theirs(emulated: Emulated) -> dict[str, Any]:
    """Objects of the other tenant."""
    truth = emulated.network.truth()
    node = truth[NODE_ID]
    machine = node["vms"][FOREIGN]
    shown = {
        k: v for k, v in machine.items() if k not in {"forwards", "disks", "status"}
    }  # these a node's restart changes
    disks = {name: disk["real"] for name, disk in machine["disks"].items()}
    return {"vm": shown, "disks": disks, "lan": node["lans"]["theirs1"], "server": truth[MANAGER_ID]["theirs"]}


def _name(record: Mapping[str, Any]) -> str:
    return str(record["desc"]).partition("dbc-iac:")[2].split("/")[2]
