"""Files of a new project, written by `init`: a valid project with comments."""

from __future__ import annotations

import re

from dbc_iac.manifest.project import FILE

_PROJECT = """# yaml-language-server: $schema=specs/project.schema.json
apiVersion: dbc-iac/v1
kind: Project
metadata: {{name: {name}}}
spec:
  uid: "{uid}"   # VM ids are derived from it: never change it, never copy it to another project
  clients: {{default: {{url: "http://127.0.0.1:5050"}}}}
  identities:
    tenant: {{wallet: {{seed: {seed}}}}}   # or mnemonic, keystore; guests use sessions
  state: {{backend: local, path: state}}   # teams and CI need a shared backend: docs/state.md
  manifests: ["manifests/**/*.yaml"]
"""

_EXAMPLE = """# yaml-language-server: $schema=../specs/manifest.schema.json
# The rented machine: its node id and the number of the rent order. This one is emulated: see world.yaml.
apiVersion: dbc-iac/v1
kind: Node
metadata: {name: gpu-a}
spec:
  id: "NODE"
  identity: tenant
  rentOrder: "1"
  portRange: 20000-29999
---
apiVersion: dbc-iac/v1
kind: VirtualMachine
metadata: {name: trainer}
spec:
  node: gpu-a
  image: ubuntu.qcow2
  gpus: 1
  cpus: 8
  memory: 32Gi
  dataDisk: {size: 200Gi}
  ports: {ssh: auto, vnc: auto}
"""

_WORLD = """# Emulated network for a first try: `dbc-iac emulator` serves it. With a rented machine, remove this file.
timeScale: 60   # emulated seconds per second
gpuNodes: [{{id: "{node}", gpus: 4, cpus: 62, memory: 256}}]
wallets: [{{name: tenant, address: {address}}}]   # the wallet of secrets/wallet.seed
orders: {{"1": {{renter: tenant, machine: "{node}"}}}}
"""

_IGNORE = """# state and secrets of dbc-iac
/state/
/secrets/
*.key
.env
# files written by plan and apply
*.plan
/plan.md
/plan-[0-9]*.md
/plan.html
/report.md
/events.ndjson
/errored.*.state.json
"""


_PLAIN = re.compile(r"[a-z][a-z0-9-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""Plain scalars that YAML does not read as text, besides numbers and dates."""


WORLD = "world.yaml"
SEED = "secrets/wallet.seed"


def scaffold(name: str, uid: str, node: str, seed: str, address: str, *, ci: bool) -> dict[str, str]:
    """Files of a new project, path to text. `uid`: 32 random hex digits.

    `node` is the id of an emulated machine, `seed` and `address` are those of its renter's wallet. `ci`: the seed is
    read from the environment.
    """
    plain = _PLAIN.fullmatch(name) and name not in _WORDS
    return {
        FILE: _PROJECT.format(
            name=name if plain else f'"{name}"',
            uid=uid,
            seed="{env: DBC_WALLET_SEED}" if ci else f"{{file: {SEED}}}",
        ),
        "manifests/example.yaml": _EXAMPLE.replace("NODE", node),
        WORLD: _WORLD.format(node=node, address=address),
        SEED: f"{seed}\n",
        ".gitignore": _IGNORE,
    }
