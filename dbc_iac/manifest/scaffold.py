"""What `init` writes: a project that validates, with everything explained in it."""

from __future__ import annotations

from dbc_iac.manifest.project import FILE

_PROJECT = """# yaml-language-server: $schema=specs/project.schema.json
apiVersion: dbc-iac/v1
kind: Project
metadata: {{name: {name}}}
spec:
  uid: "{uid}"   # the ids of your VMs are derived from it: keep it, and never copy it into another project
  clients: {{default: {{url: "http://127.0.0.1:5050"}}}}
  identities:
    tenant: {{wallet: {{seed: {{env: DBC_WALLET_SEED}}}}}}   # or mnemonic, keystore; a guest has sessions
  state: {{backend: local, path: state}}   # on this machine; a team and CI need a place that all reach: docs/state.md
  manifests: ["manifests/**/*.yaml"]
"""

_EXAMPLE = """# yaml-language-server: $schema=../specs/manifest.schema.json
# The machine that you rent: its node id, and the number of your rent order.
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

_IGNORE = """# what dbc-iac must keep out of git
/state/
/secrets/
*.key
.env
# what plans and applies leave behind
*.plan
/plan.md
/plan-[0-9]*.md
/plan.html
/report.md
/events.ndjson
/errored.*.state.json
"""


def scaffold(name: str, uid: str) -> dict[str, str]:
    """Path -> text of a new project's files. `uid`: 32 random hex digits."""
    return {
        FILE: _PROJECT.format(name=name, uid=uid),
        "manifests/example.yaml": _EXAMPLE,
        ".gitignore": _IGNORE,
    }
