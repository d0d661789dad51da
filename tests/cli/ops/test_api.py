"""`api PATH`: any endpoint, with the user's own body; what is put in, what is refused, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from dbc_iac.cli.ops.api import blanked, secrets_in
from dbc_iac.emulator import FaultSpec
from dbc_iac.secret import SecretText
from tests.api.test_responses import REPLIES
from tests.cli.test_instances import MANAGER_SEED, SERVER_KEY, WORLD
from tests.projects import NODE_ID, Emulated, document, project

MANAGER_ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
OTHER = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(gpuNodes=[{"id": NODE_ID}, {"id": OTHER}])


def body(emulated: Emulated, value: Any) -> str:
    path = emulated.project.directory / "body.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def test_target_order_and_signature_are_put_in(emulated: Emulated) -> None:
    result = emulated.run("api", "/tasks")
    assert (result.code, json.loads(result.out)) == (0, {"errcode": 0, "message": []})
    shown = emulated.run("api", "/tasks", "--json").json
    assert (shown["status"], shown["outcome"], shown["body"]["message"]) == (200, "done", [])


def test_the_users_own_target_and_credentials_are_left_as_they_are(emulated: Emulated) -> None:
    own = body(emulated, {"peer_nodes_list": [OTHER], "session_id": "x", "session_id_sign": "y"})
    result = emulated.run("api", "/tasks", "-f", own, "--json")
    assert (result.code, result.json["outcome"]) == (4, "refused")
    assert "check authority failed" in result.json["body"]["message"]


@pytest.mark.parametrize("arguments", [["--client", "default"], ["-f", "none"]])
def test_the_client_node_itself_is_asked(emulated: Emulated, arguments: list[str]) -> None:
    none = body(emulated, {"peer_nodes_list": []})
    result = emulated.run("api", "/mining_nodes", *[none if a == "none" else a for a in arguments], "--json")
    assert len(result.json["body"]["message"]["mining_nodes"]) == 2


def test_a_body_is_read_from_standard_input(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO('{"additional": {"servers": ["1.2.3.4:1"]}}'))
    assert emulated.run("api", "/monitor/set", "-f", "-", "--yes").code == 0
    assert "1.2.3.4:1" in emulated.run("api", "/monitor").out


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("/monitor/set", {}, "needs-yes"),
        ("/tasks/start", {}, "needs-yes"),
        ("/tasks/start/x", {}, "needs-yes"),
        ("/not/known", {}, "needs-yes"),
        ("/tasks", "[]", "body-unreadable"),
        ("/tasks", "{", "body-unreadable"),
        ("/tasks", {"peer_nodes_list": [5]}, "unsafe-value"),
        ("/tasks", {"peer_nodes_list": None}, "unsafe-value"),
        ("/tasks", {"additional": {"x": 'quo"te'}}, "unsafe-value"),
        ("/tasks", {"rent_order": "1;2"}, "unsafe-value"),
        ("tasks", {}, "usage"),
        ("/ta sks", {}, "usage"),
    ],
)
def test_what_may_not_be_sent_is_not(emulated: Emulated, path: str, value: Any, problem: str) -> None:
    result = emulated.run("api", path, "-f", body(emulated, value), "--json")
    assert (result.code, result.codes, result.out) == (3, [problem], "")


@pytest.mark.parametrize(("path", "code"), [("/tasks", 1), ("/tasks/stop/AAAA", 7)])
def test_an_answer_that_does_not_come_is_unknown(emulated: Emulated, path: str, code: int) -> None:
    emulated.network.faults.add(FaultSpec.model_validate({"op": "*", "kind": "time-out"}))
    result = emulated.run("api", path, "--yes", "--json")
    assert (result.code, result.codes) == (code, ["outcome-unknown"])
    assert result.json["outcome"] == "unknown"


def test_a_body_may_be_only_the_additional_object(emulated: Emulated) -> None:
    own = body(emulated, {"image_server": "ID_9"})
    result = emulated.run("api", "/images", "--body", own, "--json")
    assert (result.code, result.json["status"], result.json["body"]["message"]) == (1, 400, "image_server not exist")


def test_a_manager_is_asked_by_the_name_of_its_document(tmp_path: Path) -> None:
    manager = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})
    made = project(tmp_path, manager, environ={"KEY": MANAGER_SEED})
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    emulated = Emulated(made, WORLD)
    hidden = emulated.run("api", "/bare_metal", "--node", "rack")
    shown = emulated.run("api", "/bare_metal", "--node", "BareMetalManager/rack", "--reveal")
    assert (hidden.code, shown.code) == (0, 0)
    assert SERVER_KEY in shown.out
    assert SERVER_KEY not in hidden.out
    assert '"ipmi_password":"***"' in hidden.out.replace(" ", "")
    emulated.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"login_password": "a, b:c", "os": "x"}', '{"login_password": "***", "os": "x"}'),
        ('{"log_content":["x | pwd:a, error:b","y"]}', '{"log_content":["x | pwd:***","y"]}'),
        ('{"desc":"bro"ken","vnc_password":"abc"', '{"desc":"bro"ken","vnc_password":"***"'),
        ('{"message":"ok"}', '{"message":"ok"}'),
    ],
)
def test_secrets_of_an_answer_are_blanked_also_where_it_is_no_json(text: str, shown: str) -> None:
    assert blanked(text) == shown


def test_texts_of_a_reply_do_not_repeat_its_secrets() -> None:
    keys = [f.encode_name for kind in REPLIES for f in fields(kind) if f.type in {SecretText, SecretText | None}]
    canaries = {key: f"canary-of-{key}" for key in (*keys, "session_id", "session_id_sign")}
    assert {s.reveal() for s in secrets_in(json.dumps(canaries))} == {*canaries.values()}
    account = {"user_name": "ubuntu", "login_password": "ubuntu", "ipmi_username": "admin"}
    assert [*secrets_in(json.dumps(account))] == []


def test_unsigned_sends_no_credentials(emulated: Emulated) -> None:
    emulated.project.environ.pop("SEED")
    assert emulated.run("api", "/mining_nodes", "--unsigned").code == 0
    assert emulated.run("api", "/tasks", "--unsigned").code == 4


def test_the_path_may_be_written_as_the_public_document_does(emulated: Emulated) -> None:
    assert emulated.run("api", "/api/v1/tasks", "--json").json["outcome"] == "done"


def test_what_needs_no_node_is_asked_without_one(tmp_path: Path) -> None:
    second = document("Node", "gpu-b", {"id": OTHER, "identity": "tenant", "rentOrder": "none"})
    made = Emulated(project(tmp_path, second), {"gpuNodes": [{"id": NODE_ID}, {"id": OTHER}]})
    for path in ("/images/servers", "/bare_metal", "/mining_nodes", "/api/v1/peers/global"):
        result = made.run("api", path, "--json")
        assert (result.code, result.json["outcome"]) == (0, "done"), (path, result.err)
    result = made.run("api", "/tasks", "--json")
    assert (result.code, result.codes) == (3, ["unknown-name"]) or "not exactly one" in result.err
    made.close()


def test_public_calls_need_no_identity(tmp_path: Path) -> None:
    made = Emulated(project(tmp_path))
    path = made.project.directory / "dbc-iac.yaml"
    text = path.read_text().replace("    tenant: {", "    owner: {nodeKey: {env: SEED}}\n    tenant: {")
    path.write_text(text)
    result = made.run("api", "/mining_nodes", "--node", OTHER, "--json")
    assert "no identity for" not in result.err
    assert "no identity for" in made.run("api", "/tasks", "--node", OTHER, "--json").err
    made.close()
