"""The demo, and the emulator's doors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.asgi import port_app
from dbc_iac.emulator.server import admin_app
from tests.projects import NODE_ID, SEED, Project

WORLD = {
    "gpuNodes": [{"id": NODE_ID}],
    "wallets": [{"name": "tenant", "seed": SEED}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
}


def test_the_demo_runs_to_its_end(tmp_path: Path) -> None:
    result = Project(tmp_path).run("demo")
    assert result.code == 0, result.out + result.err
    assert result.out.count("No changes: what is there is what the manifests say.") == 2
    assert "firewall: [in,all,all,0.0.0.0/0,accept] -> (none)  [online, drift]" in result.out
    assert result.out.endswith("That was the main job.\n")


def ask(app: object, method: str, path: str, **more: object) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    return asyncio.run(go())


def test_a_served_client_node_answers_like_the_one_in_process() -> None:
    app = port_app(Network(WorldSpec.model_validate(WORLD)), "default")
    version = ask(app, "GET", "/api/v1/")
    assert (version.status_code, version.json()["message"]) == (200, {"client_version": "0.4.1.8"})
    assert version.text.endswith("\r\n")
    body = {"peer_nodes_list": [NODE_ID], "additional": {}}
    assert ask(app, "POST", "/api/v1/mining_nodes", json=body).json()["message"]["gpu"]["gpu_count"] == "4"
    refused = ask(app, "POST", "/api/v1/tasks", json=body)
    assert refused.status_code == 200
    assert refused.json() == {"errcode": -3, "message": "check authority failed: nonce check failed"}


def test_the_admin_door_needs_its_token() -> None:
    app = admin_app(Network(WorldSpec.model_validate(WORLD)), "door-token")
    assert ask(app, "GET", "/truth").status_code == 401
    shown = ask(app, "GET", "/truth", headers={"Authorization": "Bearer door-token"})
    assert json.loads(shown.text)[NODE_ID]["vms"] == {}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--world", "none.yaml"], "none.yaml cannot be read"),
        (["--world", "bad.yaml"], "gpuNodes.0.id: Field required"),
        (["--world", "world.yaml", "--listen", "0.0.0.0:5050"], "0.0.0.0 is not a loopback address"),
        (["--world", "world.yaml", "--listen", "5050"], "5050 is not HOST:PORT"),
        (["--world", "world.yaml", "--admin", "127.0.0.1:5051"], "the admin door needs a token"),
        (["--world", "world.yaml", "--listen", "x=127.0.0.1:5050"], "the world has no node x"),
    ],
)
def test_bad_arguments_of_the_emulator_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path).write({"world.yaml": json.dumps(WORLD), "bad.yaml": "gpuNodes: [{gpus: 4}]"})
    result = made.run("emulator", *arguments)
    assert result.code == 3
    assert text in result.err
