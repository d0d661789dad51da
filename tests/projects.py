"""Small projects for tests, written to a directory and driven through the command line in process."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from dbc_iac.api.idempotency import CallClass, CallEvent
from dbc_iac.cli import CommandRuntime, run_command
from dbc_iac.cli.commands import dbc_iac
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.gpu.admin import GpuAdmin
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop

UID = "00112233445566778899aabbccddeeff"
NODE_ID = "58fb618aa482c41114eb3cfdaefd3ba183172da9e25251449d045043fbd37f45"

PROJECT = f"""apiVersion: dbc-iac/v1
kind: Project
metadata: {{name: lab}}
spec:
  uid: {UID}
  clients: {{default: {{url: "http://127.0.0.1:5050"}}}}
  identities:
    tenant: {{wallet: {{seed: {{env: SEED}}}}}}
  variables:
    count: {{type: integer, default: 2}}
    team: {{default: vision}}
  environments:
    prod: {{variables: [prod.yaml]}}
"""

NODE = f"""apiVersion: dbc-iac/v1
kind: Node
metadata: {{name: gpu-a}}
spec: {{id: {NODE_ID}, identity: tenant, rentOrder: "112", portRange: 20000-29999}}
"""


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of all problems told (of a run with --json)."""
        return [d["code"] for d in json.loads(self.err)["diagnostics"]]


@dataclass
class Project:
    """A project in a directory, and the runtime that its commands get."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str, str]) -> Project:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return self

    def run(
        self, *arguments: str, err: io.StringIO | None = None, out: io.StringIO | None = None, **runtime: Any
    ) -> Result:
        out, err = out or io.StringIO(), err or io.StringIO()
        calls: list[CallEvent] = []
        made = CommandRuntime(
            environ=self.environ, out=out, err=err, terminal=False, **{"called": calls.append, **runtime}
        )
        code = run_command(dbc_iac, ["-C", str(self.directory), *arguments], made)
        check_reads(arguments, calls)
        return Result(int(code), out.getvalue(), err.getvalue())


_COMMANDS = frozenset(dbc_iac.list_commands(click.Context(dbc_iac)))
PLANNING = frozenset(
    ["drift", "explain", "fmt", "graph", "import", "orphans", "output", "plan", "show", "stack", "state", "validate"]
)
"""Commands that only read the API. An apply plans by the same code, before it makes a call."""


def check_reads(arguments: Sequence[str], calls: Sequence[CallEvent]) -> None:
    """Refuse any call of a planning command but reads, and the session that they need."""
    if next((a for a in arguments if a in _COMMANDS), "") in PLANNING:
        others = [c.path for c in calls if c.call_class is not CallClass.READ and c.path != "/mining_nodes/session_id"]
        assert others == [], f"{arguments} makes calls"


def project(directory: Path, *documents: str, environ: Mapping[str, str] | None = None) -> Project:
    """A project with one Node and the given documents in `manifests/all.yaml`."""
    made = Project(directory, dict(environ or {}))
    return made.write({"dbc-iac.yaml": PROJECT, "manifests/all.yaml": "---\n".join([NODE, *documents])})


def vm(name: str = "trainer", **changed: Any) -> str:
    """A VirtualMachine document (JSON is YAML). A value of None removes a field."""
    spec: dict[str, Any] = {
        "node": "gpu-a",
        "image": "ubuntu.qcow2",
        "gpus": 1,
        "cpus": 4,
        "memory": "8Gi",
        "dataDisk": {"size": "20Gi"},
        "ports": {"ssh": "auto", "vnc": "auto"},
        **changed,
    }
    return document("VirtualMachine", name, {k: v for k, v in spec.items() if v is not None})


def document(kind: str, name: str, spec: Mapping[str, Any], **more: Any) -> str:
    value = {"apiVersion": "dbc-iac/v1", "kind": kind, "metadata": {"name": name}, "spec": spec, **more}
    return json.dumps(value) + "\n"


SEED = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
"""Of a wallet made up for tests."""


class Emulated:
    """A project on an emulated world, on one event loop with a virtual clock that outlives its commands."""

    def __init__(self, made: Project, world: Mapping[str, Any] | None = None) -> None:
        self.project = made
        made.environ.setdefault("SEED", SEED)
        made.environ.setdefault("XDG_CACHE_HOME", str(made.directory / ".cache"))
        spec = {
            "gpuNodes": [{"id": NODE_ID}],
            "wallets": [{"name": "tenant", "seed": SEED}],
            "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
            **(world or {}),
        }
        self.network = Network(WorldSpec.model_validate(spec))
        self.loop = virtual_loop()

    def run(self, *arguments: str, err: io.StringIO | None = None, out: io.StringIO | None = None) -> Result:
        run = self.loop.run_until_complete
        return self.project.run(*arguments, err=err, out=out, transport=self.network.transport, run=run)

    def settle(self, seconds: float = 3600.0) -> None:
        """Let emulated time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @property
    def vms(self) -> dict[str, dict[str, Any]]:
        """The truth about the VMs of the one node, by task id; `disks` are GiB by file, `gpus` indexes."""
        truth = self.network.nodes[NODE_ID].truth()
        return {task_id: _shown(vm, truth["gpus"]) for task_id, vm in truth["vms"].items()}

    @property
    def left(self) -> int:
        """Number of VMs, LANs and servers."""
        gpu = [n.truth() for n in self.network.nodes.values()]
        return sum(len(n["vms"]) + len(n["lans"]) for n in gpu) + sum(
            len(m.truth()) for m in self.network.managers.values()
        )

    @property
    def admin(self) -> GpuAdmin:
        """Hands behind the back of the one node."""
        return self.network.nodes[NODE_ID].admin

    def close(self) -> None:
        close_loop(self.loop)


def start_state(emulated: Emulated, *options: str) -> None:
    """Write the empty state of a new stack."""
    assert emulated.run(*options, "state", "rm", "--yes", "Disk/none").code == 3


_DOMAINS = {"shut_off": "off", None: "none"}


def _shown(vm: Mapping[str, Any], gpus: Sequence[str]) -> dict[str, Any]:
    domain = vm["domain"]
    state = domain and domain["state"]
    return {
        "domain": _DOMAINS.get(state, state),
        "disks": {d["file"]: d["real"] // 1024**3 for d in vm["disks"].values()},
        "gpus": [gpus.index(gpu) for gpu in vm["gpus"]],
        "cores": vm["sockets"] * vm["cores"] * vm["threads"],
        "password": vm["login_password"],
        "status": vm["shown_status"],
    }
