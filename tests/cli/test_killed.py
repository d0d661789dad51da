"""An apply that is really killed (SIGKILL) while its state is beyond this machine; the next job goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.forge import DBC_IAC, served
from tests.cli.test_backends import kept_by
from tests.projects import Project
from tests.state.servers import terraform_http

EXAMPLE = Path(__file__).parents[2] / "examples/one-gpu-vm"


@pytest.mark.usefixtures("quick_polls")
@pytest.mark.parametrize("backend", ["http", "postgres", "objectstore"])
def test_a_killed_apply_holds_its_lease_and_is_continued_by_another_job(backend: str, tmp_path: Path) -> None:
    world = yaml.safe_load((EXAMPLE / "world.yaml").read_text())
    with served(EXAMPLE / "world.yaml") as address, terraform_http.served() as (http, _):
        spec, environ = kept_by(backend, http, tmp_path)
        environ |= {"DBC_WALLET_SEED": world["wallets"][0]["seed"], "TRAINER_PASSWORD": "canary-of-a-login"}
        for name in ("one", "two"):
            shutil.copytree(EXAMPLE, tmp_path / name)
            file = tmp_path / name / "dbc-iac.yaml"
            text = file.read_text().replace("127.0.0.1:5050", address)
            file.write_text(f"{text}  state: {json.dumps({'backend': backend, **spec})}\n")
        first = start(tmp_path / "one", environ, "apply", "--yes", "--events", "-")
        assert first.stdout is not None
        for line in first.stdout:
            if "creating" in line or '"intent"' in line or '"call"' in line:
                break
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        one, two = (Project(tmp_path / name, {**environ, "HOME": str(tmp_path / name)}) for name in ("one", "two"))
        refused = two.run("apply", "--yes")
        assert (refused.code, "command apply" in refused.err) == (6, True), refused
        assert two.run("state", "unlock", "--yes").code == 0
        continued = two.run("apply", "--yes")
        assert continued.code == 0, continued
        assert one.run("plan", "--detailed-exitcode").code == 0


def start(directory: Path, environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    line = [*DBC_IAC, "-C", str(directory), *arguments]
    every = {"PATH": os.environ["PATH"], "HOME": str(directory), **environ}
    return subprocess.Popen(line, env=every, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
