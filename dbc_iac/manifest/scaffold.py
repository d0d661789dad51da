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
    tenant: {{wallet: {{seed: {{env: DBC_WALLET_SEED}}}}}}   # or mnemonic, keystore; guests use sessions
  state: {{backend: local, path: state}}   # teams and CI need a shared backend: docs/state.md
  manifests: ["manifests/**/*.yaml"]
"""

_EXAMPLE = """# yaml-language-server: $schema=../specs/manifest.schema.json
# The rented machine: its node id and the number of the rent order.
apiVersion: dbc-iac/v1
kind: Node
metadata: {name: gpu-a}
spec:
  id: "0000000000000000000000000000000000000000000000000000000000000000"
  identity: tenant
  rentOrder: "1"
  portRange: 20000-29999
---
apiVersion: dbc-iac/v1
kind: VirtualMachine
metadata: {name: trainer}
spec:
  node: gpu-a
  image: ubuntu-2204.qcow2
  gpus: 1
  cpus: 8
  memory: 32Gi
  dataDisk: {size: 200Gi}
  ports: {ssh: auto, vnc: auto}
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


def scaffold(name: str, uid: str) -> dict[str, str]:
    """Files of a new project, path to text. `uid`: 32 random hex digits."""
    plain = _PLAIN.fullmatch(name) and name not in _WORDS
    return {
        FILE: _PROJECT.format(name=name if plain else f'"{name}"', uid=uid),
        "manifests/example.yaml": _EXAMPLE,
        ".gitignore": _IGNORE,
    }
