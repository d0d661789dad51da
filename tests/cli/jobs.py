"""Jobs as the forges' runners run them: the steps of the action, and the scripts of the GitLab pipeline."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.cli.forge import DBC_IAC, Forge

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "dbc_iac/operations/ci/gitlab.yaml").read_text())
EXAMPLE = ROOT / "examples/one-gpu-vm"


class Job:
    """A job on a runner: a project, the environment that a forge gives, and its files.

    `address`: HOST:PORT of its client node; without one, a program takes the place of dbc-iac. `command` starts it.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1:1", command: Sequence[str] = DBC_IAC) -> None:
        self.folder = folder
        shutil.copytree(EXAMPLE, folder / "project")
        file = folder / "project/dbc-iac.yaml"
        file.write_text(file.read_text().replace("127.0.0.1:5050", address))
        programs = folder / "bin"
        programs.mkdir()
        self.program("dbc-iac", f'exec {" ".join(map(repr, command))} "$@"\n')
        world = yaml.safe_load((EXAMPLE / "world.yaml").read_text())
        self.environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "DBC_WALLET_SEED": world["wallets"][0]["seed"],
            "TRAINER_PASSWORD": "canary-of-a-login",
        }

    def program(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/bash\n{text}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def step(self, name: str, *, fork: bool = False, **inputs: str) -> subprocess.CompletedProcess[str]:
        """A step of the action, as GitHub's runner runs it."""
        [step] = [s for s in ACTION["runs"]["steps"] if s.get("name") == name]
        given = {k: v.get("default", "") for k, v in ACTION["inputs"].items()} | {"directory": "project"} | inputs
        told = {
            **{f"inputs.{k}": v for k, v in given.items()},
            "steps.plan.outputs.exit-code": self.output("exit-code"),
            "github.event_name == 'pull_request' && "
            "github.event.pull_request.head.repo.full_name != github.repository": json.dumps(fork),
        }
        environ = {k: re.sub(r"\$\{\{ (.+?) \}\}", lambda m: told[m[1]], v) for k, v in step["env"].items()}
        return self.bash(step["run"], {**self.environ, **environ}, self.folder)

    def bash(self, script: str, environ: Mapping[str, str], where: Path) -> subprocess.CompletedProcess[str]:
        file = self.folder / "script"
        file.write_text(script)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)]
        return subprocess.run(command, env=dict(environ), cwd=where, capture_output=True, text=True, check=False)

    def output(self, name: str) -> str:
        file = self.folder / "output"
        lines = file.read_text().splitlines() if file.exists() else []
        return ["", *(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))][-1]

    def pull_request(self, hub: Forge, head: str = "feedbeef") -> None:
        """The environment of a job for pull request 7."""
        event = self.folder / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": head}}}))
        self.environ |= {
            "GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "me/lab",
            "GITHUB_API_URL": hub.url, "GITHUB_GRAPHQL_URL": f"{hub.url}/graphql", "GITHUB_SERVER_URL": hub.url,
            "GITHUB_RUN_ID": "12", "GITHUB_WORKSPACE": str(self.folder),
        }  # fmt: skip
