"""Day-2 commands against the emulated network: what they show, what they do, what they never say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.api.keys import public_key_of, verify
from dbc_iac.emulator import FaultSpec
from tests.projects import NODE_ID, SEED, Emulated, Project, document, project, vm

MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
MANAGER_ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
SERVER_ID = "50780547322a1ceba67ea8c552c9bc6c686f8698ac9a8cafab7cd15a1db19859"
WORLD: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID, "name": "a", "images": [{"name": "ubuntu.qcow2"}]}],
    "imageCentres": [{"id": "ID_1", "images": [{"name": "torch.qcow2", "size": 9_000_000_000}]}],
    "machines": {NODE_ID: {"orders": ["112"]}, SERVER_ID: {"renter": "tenant"}},
    "managers": [
        {
            "seed": MANAGER_SEED,
            "servers": [
                {
                    "uuid": "one", "ip": "198.51.100.1", "ipmiHostname": "192.168.0.1", "ipmiUsername": "admin",
                    "ipmiPassword": "canaryipmi", "nodePrivateKey": "11" * 32,
                }
            ],
        }
    ],
    "bmcs": [{"host": "192.168.0.1", "password": "canaryipmi"}],
    "deeplinks": [{"ip": "198.51.100.1", "devicePassword": "canarylink"}],
}  # fmt: skip
DOCUMENTS = (
    document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"}),
    vm(network="training", login={"password": {"env": "PW"}}),
    document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"}),
    document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"}),
    document("BareMetalInstance", "box", {"nodeId": SERVER_ID, "identity": "tenant"}),
)
ENVIRON = {"PW": "canarypw", "KEY": MANAGER_SEED, "NEW": "canarynew"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    made = project(tmp_path_factory.mktemp("day2"), *DOCUMENTS, environ=ENVIRON)
    file = made.directory / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    emulated = Emulated(made, WORLD)
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    yield emulated
    emulated.close()


def task_id(emulated: Emulated) -> str:
    [found] = emulated.vms
    return found


LOOKS: list[tuple[list[str], str]] = [
    (["node", "list"], "Node/gpu-a"),
    (["node", "list", "--all"], NODE_ID),
    (["node", "show", "gpu-a"], "ubuntu.qcow2"),
    (["node", "show", NODE_ID], "112  renting"),
    (["node", "monitor", "gpu-a"], "none"),
    (["vm", "list"], "VirtualMachine/trainer"),
    (["vm", "list", "--node", "gpu-a"], "running"),
    (["vm", "show", "trainer"], "data_"),
    (["vm", "logs", "trainer"], "task"),
    (["vm", "logs", "trainer", "--head", "-n", "1"], ""),
    (["vm", "ssh", "trainer"], "ssh -p 20000 dbc@"),
    (["disk", "list", "trainer"], "Disk/scratch"),
    (["snapshot", "list", "trainer"], "none"),
    (["image", "list"], "ID_1"),
    (["image", "list", "--node", "gpu-a"], "ubuntu.qcow2"),
    (["image", "list", "--centre", "ID_1"], "torch.qcow2"),
    (["network", "list"], "Network/training"),
    (["network", "show", "training"], "192.168.66.0/24"),
    (["server", "list", "rack"], "198.51.100.1"),
    (["server", "show", "rack", "one"], "Chassis Power is off"),
    (["server", "power", "box", "status"], "box is off."),
    (["deeplink", "get", "box"], "123456789"),
    (["wallet", "address", "--identity", "tenant"], "5"),
    (["wallet", "session", "gpu-a"], "There is a session"),
    (["api", "/tasks", "--node", "gpu-a"], '"errcode": 0'),
    (["api", "/"], "client_version"),
]


@pytest.mark.parametrize(("arguments", "text"), LOOKS, ids=[" ".join(a)[:40] for a, _ in LOOKS])
def test_what_is_looked_at_is_shown_as_text_and_json_without_secrets(
    running: Emulated, arguments: list[str], text: str
) -> None:
    said = running.run(*arguments)
    assert said.code == 0, said.err
    assert text in said.out
    value = running.run(*arguments, "--json")
    assert value.code == 0, value.err
    json.loads(value.out)
    hidden = ["canary", MANAGER_SEED, SEED, "11" * 32]
    [machine] = running.network.nodes[NODE_ID].truth()["vms"].values()
    for secret in (*hidden, machine["vnc_password"], machine["login_password"]):
        assert secret not in said.out + said.err + value.out + value.err


def test_passwords_are_shown_when_that_is_asked_for(running: Emulated) -> None:
    assert "canarypw" in running.run("vm", "show", "trainer", "--reveal").out
    assert "canarylink" in running.run("deeplink", "get", "box", "--reveal").out
    path = f"/tasks/{task_id(running)}"
    assert "canarypw" in running.run("api", path, "--node", "gpu-a", "--reveal").out
    assert "canarypw" not in running.run("api", path, "--node", "gpu-a").out


def test_a_vm_is_named_by_document_address_or_id(running: Emulated) -> None:
    identity = task_id(running)
    for name in ("trainer", "VirtualMachine/trainer", identity):
        assert running.run("vm", "show", name, "--json").json["id"] == identity


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["vm", "show", "none"], "unknown-name"),
        (["vm", "show", "0123456789012345678901"], "unknown-name"),
        (["node", "show", "none"], "unknown-name"),
        (["network", "show", "nosuchlan"], "unknown-name"),
        (["server", "list", "none"], "unknown-name"),
        (["server", "show", "rack", "none"], "unknown-name"),
        (["snapshot", "show", "trainer", "none"], "unknown-name"),
        (["disk", "grow", "trainer", "vdz", "+1Gi", "--yes"], "unknown-name"),
        (["disk", "grow", "trainer", "vda", "1Gi", "--yes"], "usage"),
        (["vm", "stop", "trainer"], "needs-yes"),
        (["server", "power", "box", "on"], "needs-yes"),
        (["api", "/tasks/reset/x", "--node", "gpu-a"], "needs-yes"),
        (["vm", "passwd", "trainer", "--yes"], "secret-missing"),
        (["vm", "passwd", "trainer", "--password-env", "NOT_SET", "--yes"], "secret-missing"),
        (["image", "list", "--centre", "ID_9"], "refused"),
        (["wallet", "address"], "which-identity"),
    ],
)
def test_what_cannot_be_is_told(running: Emulated, arguments: list[str], code: str) -> None:
    result = running.run(*arguments, "--json")
    assert result.code != 0
    assert result.codes == [code]


def test_power_by_hand_waits_and_warns_that_it_is_managed(running: Emulated) -> None:
    stopped = running.run("vm", "stop", "trainer", "--yes", "--wait")
    assert (stopped.code, stopped.out) == (0, "VirtualMachine/trainer is closed.\n")
    assert "VirtualMachine/trainer is managed: an apply starts it again" in stopped.err
    grown = running.run("disk", "grow", "trainer", "vda", "+20Gi", "--yes", "--wait")
    assert (grown.code, grown.out) == (0, "vda has 40Gi now.\n"), grown.err
    assert running.run("vm", "start", "trainer", "--yes", "--wait").out == "VirtualMachine/trainer is running.\n"
    for arguments in (["restart"], ["restart", "--force"], ["reset"]):
        result = running.run("vm", arguments[0], "trainer", *arguments[1:], "--yes", "--wait")
        assert result.code == 0, result.err
    assert running.run("plan", "--detailed-exitcode").code == 0


def test_a_password_never_stands_in_the_arguments(running: Emulated) -> None:
    result = running.run("vm", "passwd", "trainer", "--password-env", "NEW", "--yes")
    assert (result.code, result.out) == (0, "dbc on VirtualMachine/trainer has the password.\n")
    [machine] = running.network.nodes[NODE_ID].truth()["vms"].values()
    assert machine["login_password"] == "canarynew"
    assert "canarynew" not in result.out + result.err
    assert running.run("apply", "--yes").code == 0
    assert running.run("deeplink", "set", "box", "--password-env", "NEW", "--yes").code == 0
    running.settle(5)
    assert running.network.deeplinks.devices["198.51.100.1"].password == "canarynew"


def test_images_are_fetched_and_stopped(running: Emulated) -> None:
    fetch = ["image", "download", "torch.qcow2", "--node", "gpu-a", "--centre", "ID_1", "--yes"]
    result = running.run(*fetch, "--wait")
    assert result.code == 0, result.err
    assert "%" in result.err
    assert "torch.qcow2" in running.run("image", "list", "--node", "gpu-a").out
    running.settle(5)
    assert running.run(*fetch).code == 0
    assert running.run("image", "stop", "torch.qcow2", "--node", "gpu-a", "--yes").code == 0


def test_servers_are_powered_and_told_where_to_boot_from(running: Emulated) -> None:
    assert running.run("server", "power", "box", "on", "--yes").code == 0
    assert running.run("server", "power", "box", "status").out == "box is on.\n"
    assert running.run("server", "bootdev", "box", "pxe", "--yes").code == 0
    assert running.network.bmcs.all[0].next_boot == "pxe"


def test_no_certain_answer_is_never_success(running: Emulated) -> None:
    running.network.faults.add(FaultSpec(op="tasks.reset", kind="time-out"))
    result = running.run("vm", "reset", "trainer", "--yes", "--json")
    assert (result.code, result.codes) == (7, ["unknown-outcome"])
    assert "may have been carried out" in result.err


def test_monitors_are_set_and_cleared(running: Emulated) -> None:
    assert running.run("node", "monitor", "gpu-a", "127.0.0.1:10051").out == "127.0.0.1:10051\n"
    assert running.run("node", "monitor", "gpu-a", "--clear").out == "none\n"
    assert running.run("node", "free-memory", "gpu-a").code == 0


def test_a_raw_call_takes_a_body_and_tells_a_refusal(running: Emulated) -> None:
    (running.project.directory / "body.json").write_text('{"image_server": "ID_9"}')
    result = running.run("api", "/images", "--body", "body.json", "--json")
    assert result.code == 1
    assert result.json == {"status": 400, "body": {"errcode": -25, "message": "image_server not exist"}}
    (running.project.directory / "body.json").write_text("[1]")
    assert running.run("api", "/images", "--body", "body.json", "--json").codes == ["body-invalid"]


def test_wallets_are_made_and_sign_without_a_project(tmp_path: Path) -> None:
    made = Project(tmp_path, {})
    first = made.run("wallet", "new", "--out", "me.key", "--json")
    assert first.code == 0, first.err
    seed = (tmp_path / "me.key").read_text().strip()
    assert (tmp_path / "me.key").stat().st_mode & 0o077 == 0
    assert seed not in first.out + first.err
    assert made.run("wallet", "new", "--out", "me.key", "--json").codes == ["exists"]
    assert made.run("wallet", "address", "--seed-file", "me.key", "--json").json["address"] == first.json["address"]
    signed = made.run("wallet", "sign", "--seed-file", "me.key", "--count", "3")
    signatures = json.loads(signed.out)
    assert len({s["nonce"] for s in signatures}) == 3
    assert all(verify(public_key_of(s["wallet"]), s["nonce"], s["sign"]) for s in signatures)
    [one] = json.loads(made.run("wallet", "sign", "some session id", "--seed-file", "me.key").out)
    assert verify(public_key_of(one["wallet"]), "some session id", one["sign"])
    assert made.run("wallet", "sign", "--seed-file", "me.key", "--out", "signs.json").code == 0
    assert (tmp_path / "signs.json").stat().st_mode & 0o077 == 0


def test_a_session_for_a_guest_works_as_one(running: Emulated) -> None:
    pair = running.run("wallet", "session", "gpu-a", "--print", "--json").json
    known = running.network.nodes[NODE_ID].authority.sessions.values()
    assert pair["session_id"] in {s.id for s in known}
    assert any(verify(public_key_of(w), pair["session_id"], pair["session_id_sign"]) for s in known for w in s.signers)
