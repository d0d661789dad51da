"""Signed texts, refusals to sign, and the warning for one wallet at several providers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from dbc_iac.api.auth.keys import Sr25519Key, b58decode, multisig_address, public_key_of, verify
from dbc_iac.emulator.authority import Session
from dbc_iac.secret import SecretText
from tests.api.support import nonce, session_id, signed_texts
from tests.cli.test_manager_port import SERVER, Manager, rack, written
from tests.projects import NODE_ID, PROJECT, SEED, Emulated, Project, document, project, vm

TENANT = Sr25519Key.from_seed(SecretText(SEED)).address
OTHER = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"
HOSTILE = "A" * 32
"""As long as the hash of a long transaction."""


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(vm("a"), vm("b"), document("Disk", "x", {"vm": "a", "size": "1Gi"}))


def is_nonce(text: str) -> bool:
    """Whether a text is a nonce of the form that dbc-iac makes. A hostile text in that form cannot be guessed."""
    return len(text) == 55 and UUID(b58decode(text)[:-4].decode()).version == 4


def gives(emulated: Emulated, text: str) -> None:
    """From now on the node gives this text as the session id; nothing is kept from before."""
    emulated.network.nodes[NODE_ID].authority.sessions[TENANT] = Session(text, frozenset({TENANT}))
    shutil.rmtree(emulated.project.environ["XDG_CACHE_HOME"], ignore_errors=True)


# A node that sends another text than a session id


@pytest.mark.parametrize("text", [HOSTILE, "A" * 55, "<Bytes>", "x" * 300, session_id(0).text[:-1] + "1"])
@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"]])
def test_a_text_that_is_no_session_id_is_not_signed_and_its_node_named_once(
    emulated: Emulated, command: list[str], text: str
) -> None:
    gives(emulated, text)
    with signed_texts() as signed:
        result = emulated.run(*command, "--json")
    assert (result.code, result.codes) == (4, ["bad-session-id"]), result.err
    [told] = json.loads(result.err)["diagnostics"]
    assert told["summary"] == "Node/gpu-a: invalid session id"
    assert told["source"]["file"].endswith("manifests/all.yaml")
    assert "Use a client node that you run" in told["remedy"]
    assert len(signed) == 1  # the nonce of the session request
    assert text not in signed
    assert text not in result.out + result.err
    assert emulated.vms == {}


def test_drift_names_a_node_without_session_id_once(emulated: Emulated) -> None:
    assert emulated.run("apply", "--yes").code == 0
    gives(emulated, HOSTILE)
    result = emulated.run("drift", "--json")
    assert (result.code, result.codes) == (4, ["bad-session-id"]), result.err


@pytest.mark.parametrize(
    ("command", "code"),
    [(["vm", "list"], 1), (["wallet", "session", "gpu-a", "--print"], 4), (["vm", "start", "a", "--yes"], 1)],
)
def test_commands_on_what_runs_sign_no_hostile_text(emulated: Emulated, command: list[str], code: int) -> None:
    assert emulated.run("apply", "--yes").code == 0
    gives(emulated, HOSTILE)
    with signed_texts() as signed:
        result = emulated.run(*command)
    assert result.code == code, result.err
    assert f"node {NODE_ID[:8]} sent no valid session id; its text was not signed" in result.err
    assert HOSTILE not in signed


def test_a_session_id_that_others_are_to_sign_is_checked_too(emulated: Emulated, tmp_path: Path) -> None:
    """A multisig without keys: a hostile text must not reach its members either."""
    seeds = {"ONE": "11" * 32, "TWO": "22" * 32}
    members = [Sr25519Key.from_seed(SecretText(seed)) for seed in seeds.values()]
    signs = [{"wallet": m.address, "nonce": nonce(n).text, "sign": m.sign(nonce(n))} for n, m in enumerate(members)]
    (tmp_path / "signs.json").write_text(json.dumps(signs))
    multisig = {"wallets": [m.address for m in members], "threshold": 2, "signs": {"file": "signs.json"}}
    account = emulated.run("wallet", "address", *[a for m in members for a in ("--member", m.address)], "--threshold=2")
    board = {"multisig": multisig, "address": account.out.strip()}
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", f"identities:\n    board: {json.dumps(board)}"))
    process = emulated.network.nodes[NODE_ID]
    process.authority.sessions[account.out.strip()] = Session(HOSTILE, frozenset())
    emulated.network.chain.orders["112"].renter = account.out.strip()
    result = emulated.run("wallet", "session", "gpu-a", "--identity", "board", "--print")
    assert result.code == 4, result.err
    assert "no valid session id" in result.err
    assert HOSTILE not in result.out + result.err


# Members of a multisig, and the owner of a manager


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Emulated]:
    """A machine that a multisig rents, of which two members' keys are configured."""
    seeds = {"ONE": "11" * 32, "TWO": "22" * 32}
    members = [Sr25519Key.from_seed(SecretText(seed)).address for seed in seeds.values()]
    multisig = {"wallets": members, "threshold": 2, "signers": [{"seed": {"env": name}} for name in seeds]}
    spec = json.dumps({"multisig": multisig, "address": multisig_address(members, 2)})
    made = project(tmp_path, vm("a"), environ={"SEED": SEED, **seeds})
    made.write({"dbc-iac.yaml": PROJECT.replace("tenant: {wallet: {seed: {env: SEED}}}", f"tenant: {spec}")})
    orders = {"112": {"renter": multisig_address(members, 2), "machine": NODE_ID}}
    emulated = Emulated(made, {"orders": orders})
    yield emulated
    emulated.close()


@pytest.mark.parametrize("text", [HOSTILE, "A" * 55, "x" * 300])
@pytest.mark.parametrize("command", ["plan", "apply --yes", "vm list", "wallet session gpu-a --print"])
def test_members_of_a_multisig_sign_no_hostile_text(board: Emulated, command: str, text: str) -> None:
    [account] = [order.renter for order in board.network.chain.orders.values()]
    board.network.nodes[NODE_ID].authority.sessions[account] = Session(text, frozenset({account}))
    with signed_texts() as signed:
        result = board.run(*command.split())
    assert "invalid session id" in result.err
    assert result.code in {1, 4}
    assert len(signed) == 2  # one nonce of each member, for the session request
    assert all(is_nonce(one) for one in signed)
    assert text not in signed
    assert board.vms == {}


@pytest.mark.parametrize(("renter", "nonces"), [("emulated", 1), ("board", 2)])
def test_a_second_command_signs_nothing_with_a_cached_session(
    request: pytest.FixtureRequest, renter: str, nonces: int
) -> None:
    made: Emulated = request.getfixturevalue(renter)
    with signed_texts() as signed:
        assert made.run("plan").code == 0
    assert len(signed) == nonces + 1  # and the session id
    with signed_texts() as signed:
        for command in ("plan", "drift", "vm list", "apply --yes", "vm show a", "plan"):
            assert made.run(*command.split()).code == 0
    assert signed == []


@pytest.mark.parametrize(
    "message", [HOSTILE, {"session_id": HOSTILE}, {"bare_metal_nodes": HOSTILE}, "the session is invalid", [HOSTILE]]
)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("errcode", [0, -25])
def test_a_node_key_signs_nonces_only(tmp_path: Path, message: Any, status: int, errcode: int) -> None:
    class Rogue(Manager):
        def answer(self, path: str, body: dict[str, Any]) -> httpx.Response:
            self.bodies.append(body)
            return httpx.Response(status, json={"errcode": errcode, "message": message})

    manager = Rogue()
    made = written(tmp_path, rack(), document("BareMetalServer", "one", SERVER))
    for command in ("plan", "apply --yes", "server list rack", "wallet session rack --print"):
        with signed_texts() as signed:
            result = made.run(*command.split(), transport=manager.transport)
        assert result.code not in {0, 70}, result.err
        assert all(is_nonce(one) for one in signed)
        assert len(set(signed)) == len(signed) <= 4
    assert manager.bodies


# wallet sign


@pytest.fixture
def alone(tmp_path: Path) -> Project:
    return Project(tmp_path, {"ONE": "11" * 32})


@pytest.mark.parametrize("text", [HOSTILE, "text", "5" * 55, "x" * 300, session_id(0).text + "\n", "0x" + "00" * 100])
def test_wallet_sign_refuses_what_is_no_session_id(alone: Project, text: str) -> None:
    with signed_texts() as signed:
        result = alone.run("wallet", "sign", "--seed-env", "ONE", "--json", text)
    assert (result.code, result.codes, result.out) == (5, ["not-a-session-id"], "")
    assert signed == []
    assert "wallet session NODE --print" in result.err


def test_wallet_sign_shows_the_session_id_that_it_signs(alone: Project) -> None:
    text = session_id(0).text
    result = alone.run("wallet", "sign", "--seed-env", "ONE", text)
    [made] = result.json
    assert verify(public_key_of(made["wallet"]), text, made["sign"])
    assert result.err == f"note[signed]: {made['wallet']} signed a session id\n  Session id: {text}.\n"


@pytest.mark.parametrize(("count", "what"), [(1, "1 new nonce"), (3, "3 new nonces")])
def test_wallet_sign_shows_how_many_nonces_it_signs(alone: Project, count: int, what: str) -> None:
    result = alone.run("wallet", "sign", "--seed-env", "ONE", "--count", str(count), "--out", "signs.json", "--json")
    [told] = json.loads(result.err)["diagnostics"]
    made = json.loads((alone.directory / "signs.json").read_text())
    assert told["summary"] == f"{made[0]['wallet']} signed {what}"
    assert told["severity"] == "note"


@pytest.mark.parametrize("text", ["{", "{}", "5", "null", '[{"wallet": 1}]', "[[]]", "[" * 100_000, "missing"])
def test_a_file_of_signatures_that_holds_something_else_is_refused(tmp_path: Path, text: str) -> None:
    made = project(tmp_path, environ={"SEED": SEED})
    multisig = {"wallets": [TENANT], "threshold": 1, "signs": {"file": "signs.json"}}
    spec = json.dumps({"multisig": multisig, "address": TENANT})
    made.write({"dbc-iac.yaml": PROJECT.replace("tenant: {wallet", f"board: {spec}\n    tenant: {{wallet")})
    if text != "missing":
        made.write({"signs.json": text})
    result = made.run("wallet", "address", "board", "--json")
    assert (result.code, result.codes) == (3, ["identity"]), result.err
    assert "signs.json" in result.err


# Kept sessions


def test_api_uses_the_kept_session_and_signs_nothing(emulated: Emulated) -> None:
    assert emulated.run("plan").code == 0
    with signed_texts() as signed:
        assert emulated.run("api", "/tasks").code == 0
    assert signed == []


def test_api_signs_a_nonce_where_the_kept_session_is_refused(emulated: Emulated) -> None:
    assert emulated.run("plan").code == 0
    emulated.network.nodes[NODE_ID].authority.sessions.clear()
    with signed_texts() as signed:
        assert emulated.run("api", "/tasks").code == 0
        assert emulated.run("api", "/mining_nodes/session_id", "--yes").code == 0
    assert len(signed) == 2


def test_api_sends_a_session_to_its_own_node_only(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path), {"gpuNodes": [{"id": NODE_ID}, {"id": OTHER}]})
    assert emulated.run("wallet", "session", "gpu-a", "--print").code == 0
    (tmp_path / "body.json").write_text(json.dumps({"peer_nodes_list": [OTHER]}))
    with signed_texts() as signed:
        assert emulated.run("api", "/tasks", "-f", str(tmp_path / "body.json")).code == 4
    assert len(signed) == 1
    emulated.close()


# One wallet at several providers


TWO = '{default: {url: "http://127.0.0.1:5050"}, theirs: {url: "https://node.example.org/api"}}'
ONE_PROVIDER = TWO.replace("{url", "{provider: us, url")


def node(name: str, **spec: Any) -> str:
    return document("Node", name, {"id": OTHER, "identity": "tenant", "rentOrder": "113", **spec})


def with_clients(directory: Path, clients: str, *documents: str, identities: str = "", more: str = "") -> Project:
    made = project(directory, *documents, environ={"SEED": SEED})
    default = '{default: {url: "http://127.0.0.1:5050"}}'
    text = PROJECT.replace(default, clients).replace("identities:", f"identities:{identities}")
    return made.write({"dbc-iac.yaml": text + more})


def narrowed(made: Project, client: str) -> None:
    """The node of all these projects is asked through one client node only."""
    file = made.directory / "manifests" / "all.yaml"
    file.write_text(file.read_text().replace("identity: tenant", f"identity: tenant, clients: [{client}]", 1))


def test_a_wallet_at_two_providers_is_warned_of_once(tmp_path: Path) -> None:
    made = with_clients(tmp_path, TWO, vm("a"), vm("b"))
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (0, ["shared-wallet"])
    [told] = json.loads(result.err)["diagnostics"]
    assert told["summary"] == "the wallet of identity tenant is used at 2 providers"
    assert "127.0.0.1:5050, node.example.org." in told["detail"]
    assert (told["source"]["file"].rpartition("/")[2], told["source"]["line"]) == ("dbc-iac.yaml", 8)
    emulated = Emulated(made)
    assert emulated.run("plan", "--json").codes == ["shared-wallet"]
    assert emulated.run("plan", "-o", str(tmp_path / "plan")).code == 0
    applied = emulated.run("apply", "--yes", str(tmp_path / "plan"))
    assert (applied.code, "shared-wallet" in applied.err) == (0, False)
    emulated.close()


@pytest.mark.parametrize(
    "clients",
    [
        '{default: {url: "http://127.0.0.1:5050"}}',
        ONE_PROVIDER,
        TWO.replace("https://node.example.org", "http://127.0.0.1:5050"),
    ],
)
def test_a_wallet_at_one_provider_is_not_warned_of(tmp_path: Path, clients: str) -> None:
    result = with_clients(tmp_path, clients, vm()).run("validate", "--json")
    assert (result.code, result.err) == (0, "")


def test_a_wallet_per_provider_is_not_warned_of(tmp_path: Path) -> None:
    other = "\n    second: {wallet: {seed: {env: SECOND}}}"
    made = with_clients(tmp_path, TWO, node("gpu-b", identity="second", clients=["theirs"]), identities=other)
    narrowed(made, "default")
    result = made.run("validate", "--json")
    assert (result.code, result.err) == (0, "")


def test_one_wallet_under_two_names_is_warned_of(tmp_path: Path) -> None:
    other = "\n    second: {wallet: {seed: {env: SEED}}}"
    made = with_clients(tmp_path, TWO, node("gpu-b", identity="second", clients=["theirs"]), identities=other)
    narrowed(made, "default")
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (0, ["shared-wallet"])
    assert "identity second, tenant" in result.err


def test_the_client_node_for_images_counts(tmp_path: Path) -> None:
    image = document("Image", "base", {"node": "gpu-a", "file": "base.qcow2", "imageServer": "ID_1"})
    made = with_clients(tmp_path, TWO, image)
    narrowed(made, "theirs")
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (0, ["shared-wallet"])


def test_sessions_and_node_keys_are_not_warned_of(tmp_path: Path) -> None:
    made = with_clients(tmp_path, TWO)
    pair = "{id: {env: A}, sign: {env: B}}"
    file = made.directory / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("{wallet: {seed: {env: SEED}}}", f"{{sessions: {{gpu-a: {pair}}}}}"))
    result = made.run("validate", "--json")
    assert (result.code, result.err) == (0, "")


def test_a_project_can_refuse_a_wallet_at_two_providers(tmp_path: Path) -> None:
    made = with_clients(tmp_path, TWO, vm(), more="  thresholds: {refuse: [shared-wallet]}\n")
    emulated = Emulated(made)
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["shared-wallet"])
    assert emulated.vms == {}
    emulated.close()
