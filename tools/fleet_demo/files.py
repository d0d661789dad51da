"""The files of the demo: the world of the emulator, the Fleet file, and a project for each of five stacks."""

from __future__ import annotations

import json
from pathlib import Path

NODE_ID = "58fb618aa482c41114eb3cfdaefd3ba183172da9e25251449d045043fbd37f45"
SEED = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
"""Of a wallet made up for the demo."""
TOKEN = "token-of-the-fleet-demo"  # noqa: S105
ADMIN_TOKEN = "token-of-the-emulator"  # noqa: S105
COMMITTER = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}
STACKS = ("trainer", "inference", "lab-net", "vision-prod", "legacy")
_NETWORK = "apiVersion: dbc-iac/v1\nkind: Network\nmetadata: {{name: {name}}}\nspec: {{via: gpu-a, cidr: {cidr}}}\n"
_MACHINE = """apiVersion: dbc-iac/v1
kind: VirtualMachine
metadata: {{name: {name}}}
spec: {{node: gpu-a, image: ubuntu.qcow2, gpus: 1, cpus: 4, memory: {memory}, dataDisk: {{size: 20Gi}}, ports: {{ssh: {ssh}, vnc: {vnc}}}}}
"""


def machine(name: str, number: int, memory: str = "8Gi") -> str:
    """The manifest of a VM. `number`: another one for each VM of the machine, for its ports."""
    return _MACHINE.format(name=name, memory=memory, ssh=20000 + number, vnc=21000 + number)


def network(name: str, cidr: str) -> str:
    """The manifest of a Network."""
    return _NETWORK.format(name=name, cidr=cidr)


def write_world(path: Path) -> None:
    """Write the world file: one machine with four GPUs, rented by the wallet of the demo."""
    world = {
        "timeScale": 15,
        "gpuNodes": [{"id": NODE_ID, "gpus": 4}],
        "wallets": [{"name": "tenant", "seed": SEED}],
        "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
    }
    path.write_text(json.dumps(world, indent=2))


def write_fleet(path: Path, repository: Path) -> None:
    """Write the Fleet file: two stacks that are applied, two that wait for approval, one that is observed."""
    secrets = "".join(f"    {name}: {{directory: secrets}}\n" for name in STACKS)
    path.write_text(f"""apiVersion: dbc-iac/v1
kind: Fleet
metadata: {{name: demo}}
spec:
  database: {{env: DBC_IAC_DATABASE}}
  sources:
    infra: {{git: "file://{repository}", interval: 4s}}
  stacks:
    - {{name: trainer, source: infra, path: trainer, mode: apply, drift: revert, interval: 5m}}
    - {{name: inference, source: infra, path: inference, mode: apply, drift: revert, interval: 5m}}
    - {{name: lab-net, source: infra, path: lab-net, mode: approve, interval: 5m}}
    - {{name: vision-prod, source: infra, path: vision-prod, mode: approve, interval: 5m}}
    - {{name: legacy, source: infra, path: legacy, mode: observe, interval: 5m}}
  secrets:
{secrets}  web: {{token: {{env: DBC_IAC_WEB_TOKEN}}}}
""")
    directory = path.parent / "secrets"
    directory.mkdir()
    (directory / "WALLET_SEED").write_text(f"{SEED}\n")


def write_projects(directory: Path, node: int, database: str) -> None:
    """Write the project of each stack. `node`: port of the emulator; `database`: address for the states."""
    manifests = {
        "trainer": machine("trainer", 1),
        "inference": machine("inference", 2),
        "lab-net": network("labnet", "10.0.1.0/24"),
        "vision-prod": network("visionnet", "10.0.2.0/24"),
        "legacy": network("legacynet", "10.0.3.0/24"),
    }
    for number, (name, manifest) in enumerate(manifests.items(), 1):
        project = directory / name
        (project / "manifests").mkdir(parents=True)
        (project / "dbc-iac.yaml").write_text(f"""apiVersion: dbc-iac/v1
kind: Project
metadata: {{name: {name}}}
spec:
  uid: {number:032x}
  clients: {{default: {{url: "http://127.0.0.1:{node}"}}}}
  identities: {{tenant: {{wallet: {{seed: {{env: WALLET_SEED}}}}}}}}
  state: {{backend: postgres, address: "{database}", schema: {name.replace("-", "_")}_state}}
""")
        (project / "manifests/node.yaml").write_text(f"""apiVersion: dbc-iac/v1
kind: Node
metadata: {{name: gpu-a}}
spec: {{id: {NODE_ID}, identity: tenant, rentOrder: "112", portRange: 20000-29999}}
""")
        (project / "manifests/main.yaml").write_text(manifest)
