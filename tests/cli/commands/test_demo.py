"""The demo and the emulator's commands."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.evhttp import Asked
from dbc_iac.emulator.server import admin_handler
from tests.projects import NODE_ID, SEED, Project

WORLD = {
    "gpuNodes": [{"id": NODE_ID}],
    "wallets": [{"name": "tenant", "seed": SEED}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
}


def test_the_demo_runs_to_its_end(tmp_path: Path) -> None:
    result = Project(tmp_path).run("demo")
    assert result.code == 0, result.out + result.err
    assert result.out.count("No changes. The infrastructure matches the manifests.") == 1
    assert len((result.out + result.err).splitlines()) <= 120
    assert [line[:4] for line in result.out.splitlines() if line.startswith("# ")] == ["# 1.", "# 2.", "# 3.", "# 4."]
    assert result.out.count("  + VirtualMachine/trainer  create") == 1, "a plan is shown once"
    page = tmp_path / "dbc-iac-demo.html"
    assert "VirtualMachine/trainer" in page.read_text()
    assert "firewall: [in,all,all,0.0.0.0/0,accept] -> (none)" in result.out
    assert result.out.endswith(f"Demo complete: no objects remain. The page of the first plan: {page}\n")


def test_the_admin_api_requires_its_token() -> None:
    async def test() -> None:
        handler = admin_handler(Network(WorldSpec.model_validate(WORLD)), "admin-token")
        look = Asked("GET", "/truth", (1, 1), (), 0)
        assert (await handler(look)).status == 401
        shown = await handler(replace(look, headers=(("Authorization", "Bearer admin-token"),)))
        assert json.loads(shown.body)[NODE_ID]["vms"] == {}

    asyncio.run(test())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--world", "none.yaml"], "cannot read none.yaml"),
        (["--world", "bad.yaml"], "gpuNodes.0.id is required"),
        (["--world", "world.yaml", "--listen", "0.0.0.0:5050"], "0.0.0.0 is not a loopback address"),
        (["--world", "world.yaml", "--listen", "5050"], "5050 is not HOST:PORT"),
        (["--world", "world.yaml", "--admin", "127.0.0.1:5051"], "the admin API needs a token"),
        (["--world", "world.yaml", "--listen", "x=127.0.0.1:5050"], "unknown node x"),
    ],
)
def test_invalid_arguments_of_the_emulator_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path).write({"world.yaml": json.dumps(WORLD), "bad.yaml": "gpuNodes: [{gpus: 4}]"})
    result = made.run("emulator", *arguments)
    assert result.code == 3
    assert text in result.err
