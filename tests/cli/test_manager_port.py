"""`BareMetalManager.url`: the manager is asked at its own port, and no client node is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.projects import Emulated, Project, Result, document, project

SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
NODE_ID = "a" * 64
URL = "http://127.0.0.1:5051"
SERVER: dict[str, Any] = {
    "manager": "rack",
    "uuid": "3156995b",
    "ip": "198.51.100.1",
    "ipmi": {"host": "192.168.0.1", "username": "admin", "password": {"env": "IPMI"}},
}


def rack(**spec: Any) -> str:
    return document("BareMetalManager", "rack", {"id": ID, "identity": "owner", "url": URL, **spec})


def written(directory: Path, *documents: str) -> Project:
    made = project(directory, *documents, environ={"KEY": SEED, "IPMI": "canaryipmi"})
    file = directory / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    return made


class Manager:
    """A manager's own port with one server, and a record of other requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.servers: list[dict[str, Any]] = []
        self.refuses = ""

    def transport(self, name: str) -> httpx.AsyncBaseTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(f"{name} {request.url}")
            return self.answer(request.url.path.removeprefix("/api/v1/bare_metal"), json.loads(request.content))

        return httpx.MockTransport(answer)

    def answer(self, path: str, body: dict[str, Any]) -> httpx.Response:
        self.bodies.append(body)
        if path == "/add":
            if self.refuses:
                return httpx.Response(400, json={"errcode": -25, "message": self.refuses})
            [entry] = body["additional"]["bare_metal_nodes"]
            made = {"node_id": NODE_ID, "node_private_key": "b" * 64, "os": "", "description": entry.pop("desc", "")}
            self.servers.append({**entry, **made})
            added = [{"node_id": NODE_ID, "uuid": entry["uuid"]}]
            return httpx.Response(200, json={"errcode": 0, "message": {"bare_metal_nodes": added}})
        if path == "/delete":
            self.servers.clear()
            return httpx.Response(200, json={"errcode": 0, "message": "1 were successfully deleted, 0 failed"})
        return httpx.Response(200, json={"errcode": 0, "message": {"bare_metal_nodes": self.servers}})


def run(made: Project, manager: Manager, *arguments: str) -> Result:
    return made.run(*arguments, transport=manager.transport)


def test_a_server_is_registered_and_deleted_through_the_managers_own_port(tmp_path: Path) -> None:
    manager = Manager()
    made = written(tmp_path, rack(), document("BareMetalServer", "one", SERVER))
    result = run(made, manager, "apply", "--yes")
    assert result.code == 0, result.err
    assert run(made, manager, "plan", "--detailed-exitcode").code == 0
    assert len(manager.servers) == 1
    assert run(made, manager, "destroy", "--yes", "--destroy-identity", "BareMetalServer/one").code == 0
    assert manager.servers == []
    assert all(a.startswith(f"BareMetalManager/rack {URL}/api/v1/bare_metal") for a in manager.asked)
    # At its own port the manager takes its own id for itself.
    assert {tuple(b["peer_nodes_list"]) for b in manager.bodies} == {(ID,)}
    assert {b["wallet"] for b in manager.bodies} == {ID}
    assert len({b["nonce"] for b in manager.bodies}) == len(manager.bodies)


def test_a_server_whose_documents_are_gone_is_deleted_there_too(tmp_path: Path) -> None:
    manager = Manager()
    unprotected = {**SERVER, "lifecycle": {"preventDestroy": False}}
    made = written(tmp_path, rack(), document("BareMetalServer", "one", unprotected))
    assert run(made, manager, "apply", "--yes").code == 0
    made = written(tmp_path)
    result = run(made, manager, "apply", "--yes", "--allow-empty", "--destroy-identity", "BareMetalServer/one")
    assert result.code == 0, result.err
    assert manager.servers == []


def test_a_refusal_by_http_400_is_reported_with_its_reason(tmp_path: Path) -> None:
    manager = Manager()
    manager.refuses = "verify sign failed"
    made = written(tmp_path, rack(), document("BareMetalServer", "one", SERVER))
    result = run(made, manager, "apply", "--yes")
    assert result.code == 4, result.err
    assert "Message: verify sign failed." in result.err
    assert "canaryipmi" not in result.out + result.err


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(
        written(tmp_path, rack(), document("BareMetalServer", "one", SERVER)), {"managers": [{"seed": SEED}]}
    )
    yield made
    made.close()


def test_the_emulated_manager_is_asked_at_its_own_port(emulated: Emulated) -> None:
    def apply(*arguments: str) -> Result:
        def transport(name: str) -> httpx.AsyncBaseTransport:
            return emulated.network.transport(ID if name == "BareMetalManager/rack" else name)

        return emulated.project.run(*arguments, transport=transport, run=emulated.loop.run_until_complete)

    result = apply("apply", "--yes")
    assert result.code == 0, result.err
    assert apply("plan", "--detailed-exitcode").code == 0
    assert emulated.left == 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"url": "http://203.0.113.7:5051"}, "or set insecureHttp: true"),
        ({"url": "ftp://127.0.0.1"}, "expected http://HOST:PORT"),
        ({"url": "http://127.0.0.1:5051/?a=b"}, "expected http://HOST:PORT"),
        ({"url": "https://me:canary@rack"}, "Remove the part before @"),
        ({"url": "http://127.0.0.1:99999"}, "malformed host or port"),
        ({"clients": ["default"]}, "expected one of clients and url"),
    ],
)
def test_an_unusable_url_is_reported(tmp_path: Path, spec: dict[str, Any], said: str) -> None:
    result = written(tmp_path, rack(**spec)).run("validate")
    assert result.code == 3
    assert said in result.err
    assert "canary" not in result.err


def test_plain_http_to_another_machine_can_be_allowed(tmp_path: Path) -> None:
    assert written(tmp_path, rack(url="http://203.0.113.7:5051", insecureHttp=True)).run("validate").code == 0
