"""The steps of a new user, from a fresh clone to a pipeline, each as it is typed, as far as one machine goes."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from dbc_iac.emulator import Network, load_world
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop
from tests.cli.forge import served
from tests.projects import Project


@pytest.mark.usefixtures("quick_polls")
def test_from_nothing_to_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {**os.environ, "HOME": str(tmp_path)}
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
    environ["DBC_WALLET_SEED"] = (lab / "secrets/wallet.seed").read_text().strip()
    with served(lab / "world.yaml") as address:
        project = lab / "dbc-iac.yaml"
        project.write_text(project.read_text().replace("127.0.0.1:5050", address))
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
        for left in ("state/", "secrets/", "plan.html", "plan.md", "report.md"):
            assert f" {left}" not in staged
        typed("dbc-iac destroy --yes")


@pytest.mark.parametrize("command", ["dbc-iac plan", "dbc-iac apply --yes"])
def test_missing_settings_are_reported_before_any_call(command: str, tmp_path: Path) -> None:
    lab = Project(tmp_path)
    assert lab.run("init", "--ci", "github").code == 0
    ran = lab.run(*command.split()[1:])
    assert ran.code == 3
    assert "DBC_WALLET_SEED" in ran.err


def test_a_new_project_applies_as_it_is_on_its_emulated_machine(tmp_path: Path) -> None:
    lab = Project(tmp_path, {"HOME": str(tmp_path)})
    shown = lab.run("init", "--name", "lab").out
    assert f"  dbc-iac -C {tmp_path} emulator &\n  dbc-iac -C {tmp_path} apply\n" in shown
    assert (tmp_path / "secrets/wallet.seed").stat().st_mode & 0o777 == 0o600
    seed = (tmp_path / "secrets/wallet.seed").read_text().strip()
    assert seed not in (tmp_path / "world.yaml").read_text() + shown
    world = load_world(tmp_path / "world.yaml")
    network, loop = Network(world), virtual_loop()
    run = partial(lab.run, transport=network.transport, run=loop.run_until_complete)
    try:
        assert run("apply", "--yes").code == 0
        assert run("plan", "--detailed-exitcode").code == 0
        assert "ssh -p 20000" in run("output").out
    finally:
        close_loop(loop)
