"""The steps of a new user, from a fresh clone to a pipeline, each as it is typed, as far as one machine goes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.forge import served
from tests.projects import Project

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "examples/one-gpu-vm/world.yaml"


def test_from_nothing_to_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = yaml.safe_load(WORLD.read_text())
    environ = {**os.environ, "DBC_WALLET_SEED": world["wallets"][0]["seed"], "HOME": str(tmp_path)}
    lab = tmp_path / "lab"
    lab.mkdir()
    monkeypatch.chdir(lab)

    def typed(line: str) -> str:
        if not line.startswith("dbc-iac "):
            return subprocess.run(line.split(), env=environ, capture_output=True, text=True, check=True).stdout
        ran = Project(Path(), environ).run(*line.split()[1:])
        assert ran.code == 0, f"{line}\n{ran.out}{ran.err}"
        return ran.out

    typed("git init -q .")
    typed("dbc-iac init --name lab --ci github")
    with served(WORLD) as address:
        project, example = lab / "dbc-iac.yaml", lab / "manifests/example.yaml"
        project.write_text(project.read_text().replace("127.0.0.1:5050", address))
        node = world["gpuNodes"][0]["id"]
        order = next(iter(world["orders"]))
        text = example.read_text().replace("0" * 64, node).replace('rentOrder: "1"', f'rentOrder: "{order}"')
        example.write_text(text.replace("ubuntu-2204.qcow2", "ubuntu.qcow2"))
        typed("dbc-iac validate")
        typed("dbc-iac fmt --check")
        assert "VirtualMachine/trainer  create" in typed("dbc-iac plan --html plan.html --markdown plan.md")
        typed("dbc-iac apply --yes --report report.md")
        typed("dbc-iac plan --detailed-exitcode")
        assert "ssh -p " in typed("dbc-iac output")
        typed("dbc-iac drift")
        typed("git add -A")
        staged = typed("git status --porcelain")
        for path in ("dbc-iac.yaml", "manifests/example.yaml", ".github/workflows/dbc-iac.yaml"):
            assert f"A  {path}" in staged
        for made in ("plan.html", "plan.md", "report.md"):
            assert (lab / made).exists()
        for left in ("state/", "plan.html", "plan.md", "report.md"):
            assert f" {left}" not in staged
        typed("dbc-iac destroy --yes")


@pytest.mark.parametrize("command", ["dbc-iac plan", "dbc-iac apply --yes"])
def test_missing_settings_are_reported_before_any_call(command: str, tmp_path: Path) -> None:
    lab = Project(tmp_path)
    assert lab.run("init").code == 0
    ran = lab.run(*command.split()[1:])
    assert ran.code == 3
    assert "DBC_WALLET_SEED" in ran.err
