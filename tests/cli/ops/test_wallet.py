"""`wallet`: keys that are never shown, addresses, offline signatures, and the session for a third party."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.api.auth.keys import Sr25519Key, multisig_address, public_key_of, verify
from dbc_iac.api.idempotency import CallEvent
from dbc_iac.secret import SecretText
from tests.projects import NODE_ID, SEED, Emulated, Project, document, project, vm

SEEDS = ["11" * 32, "22" * 32, "33" * 32]
MEMBERS = [Sr25519Key.from_seed(SecretText(seed)).address for seed in SEEDS]
ACCOUNT = multisig_address(MEMBERS, 2)
TENANT = Sr25519Key.from_seed(SecretText(SEED)).address


@pytest.fixture
def alone(tmp_path: Path) -> Project:
    """A directory without a project."""
    return Project(tmp_path, {"ONE": SEEDS[0], "TWO": SEEDS[1]})


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(vm())


def identities(made: Project, **more: object) -> None:
    file = made.directory / "dbc-iac.yaml"
    lines = "".join(f"\n    {name}: {json.dumps(spec)}" for name, spec in more.items())
    file.write_text(file.read_text().replace("identities:", f"identities:{lines}"))


@pytest.mark.parametrize("options", [[], ["--mnemonic"], ["--mnemonic", "--words", "24"]])
def test_a_new_key_goes_to_a_private_file_and_is_shown_nowhere(alone: Project, options: list[str]) -> None:
    file = alone.directory / "secrets" / "key"
    result = alone.run("wallet", "new", "--out", str(file), *options, "--json")
    assert result.code == 0, result.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text().strip()
    assert len(secret.split()) == (int(options[-1]) if "24" in options else 12 if options else 1)
    assert secret not in result.out + result.err
    read = alone.run("wallet", "address", "--seed-file", str(file))
    assert read.out.strip() == result.json["address"]
    again = alone.run("wallet", "new", "--out", str(file), *options, "--json")
    assert (again.code, again.codes, file.read_text().strip()) == (1, ["file-exists"], secret)


def test_two_new_keys_differ(alone: Project) -> None:
    made = {alone.run("wallet", "new", "--out", n, "--json").json["address"] for n in ("a", "b")}
    assert len(made) == 2


def test_the_address_of_a_key_and_of_a_multisig_need_no_project(alone: Project) -> None:
    shown = alone.run("wallet", "address", "--seed-env", "ONE", "--json").json
    assert (shown["address"], shown["publicKey"]) == (MEMBERS[0], public_key_of(MEMBERS[0]).hex())
    arguments = [a for member in MEMBERS for a in ("--member", member)]
    assert alone.run("wallet", "address", *arguments, "--threshold", "2").out.strip() == ACCOUNT
    wrong = alone.run("wallet", "address", *arguments, "--threshold", "4", "--json")
    assert (wrong.code, wrong.codes) == (3, ["multisig"])


def test_all_identities_are_listed_by_what_they_are_known_by(emulated: Emulated) -> None:
    made = emulated.project
    made.environ |= {"ONE": SEEDS[0], "TWO": SEEDS[1]}
    signers = [{"seed": {"env": "ONE"}}, {"seed": {"env": "TWO"}}]
    identities(
        made,
        board={"multisig": {"wallets": MEMBERS, "threshold": 2, "signers": signers}, "address": ACCOUNT},
        owner={"nodeKey": {"env": "ONE"}},
        guest={"sessions": {"gpu-a": {"id": {"env": "A"}, "sign": {"env": "B"}}}},
    )
    rows = {r["name"]: r for r in made.run("wallet", "address", "--json").json}
    assert {n: (r["kind"], r.get("address")) for n, r in rows.items()} == {
        "board": ("multisig", ACCOUNT),
        "guest": ("sessions", None),
        "owner": ("nodeKey", None),
        "tenant": ("wallet", TENANT),
    }
    assert rows["owner"]["publicKey"] == public_key_of(MEMBERS[0]).hex()
    del made.environ["ONE"]
    partly = made.run("wallet", "address", "--json")
    assert {r["name"] for r in partly.json} == {"guest", "tenant"}
    assert partly.codes == ["secret-missing"]


def test_signatures_of_two_members_open_a_machine(emulated: Emulated, alone: Project) -> None:
    """The whole way: members sign where their keys are, somebody without a key collects, and a third party uses it."""
    made, directory = emulated.project, emulated.project.directory
    made.environ |= alone.environ
    for name in ("ONE", "TWO"):
        result = alone.run("wallet", "sign", "--seed-env", name, "--count", "3", "--out", str(directory / name))
        assert result.code == 0, result.err
    both = [a for name in ("ONE", "TWO") for a in ("--with", str(directory / name))]
    result = alone.run("wallet", "sign", *both, "--out", str(directory / "signs.json"), "--json")
    assert (result.code, result.json["signatures"]) == (0, 6)
    board = {"wallets": MEMBERS, "threshold": 2, "signs": {"file": str(directory / "signs.json")}}
    identities(made, board={"multisig": board, "address": ACCOUNT})
    orders = {"112": {"renter": ACCOUNT, "machine": NODE_ID}}
    world = Emulated(made, {"orders": orders})
    try:
        got = world.run("wallet", "session", "gpu-a", "--identity", "board", "--print", "--json")
        assert (got.code, got.codes) == (0, ["unsigned"])
        for _ in range(2):  # each process begins with the first signatures, and goes on to those that are not used up
            assert world.run("wallet", "session", "gpu-a", "--identity", "board", "--print").code == 0
        none_left = world.run("wallet", "session", "gpu-a", "--identity", "board", "--print")
        assert none_left.code != 0
        assert "the collected signatures of the multisig are used up" in none_left.err
        signed = alone.run("wallet", "sign", "--seed-env", "TWO", got.json["session_id"]).json
        pair = {"id": {"env": "ID"}, "sign": {"env": "SIGN"}}
        identities(made, guest={"sessions": {"gpu-a": pair}})
        made.environ |= {"ID": got.json["session_id"], "SIGN": signed[0]["sign"]}
        assert world.run("vm", "list", "--identity", "guest").code == 0
    finally:
        world.close()


def test_each_signature_is_over_a_fresh_nonce(alone: Project) -> None:
    result = alone.run("wallet", "sign", "--seed-env", "ONE", "--count", "5")
    assert len({s["nonce"] for s in result.json}) == 5
    assert all(verify(public_key_of(MEMBERS[0]), s["nonce"], s["sign"]) for s in result.json)
    assert {s["wallet"] for s in result.json} == {MEMBERS[0]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "key-material"),
        ("[{}]", "key-material"),
        (json.dumps([{"wallet": MEMBERS[0], "nonce": "n", "sign": "00" * 64}]), "key-material"),
        (json.dumps([{"wallet": "nobody", "nonce": "n", "sign": "00" * 64}]), "key-material"),
    ],
)
def test_what_others_signed_is_checked(alone: Project, text: str, problem: str) -> None:
    file = alone.directory / "x.json"
    file.write_text(text)
    result = alone.run("wallet", "sign", "--with", str(file), "--json")
    assert (result.code, result.codes, result.out) == (3, [problem], "")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["address", "--identity", "none"], 3, "unknown-name"),
        (["sign", "--identity", "none"], 3, "unknown-name"),
        (["sign", "--seed-env", "NONE"], 3, "secret-missing"),
        (["sign", "--seed-env", "BAD"], 3, "key-material"),
        (["address", "--seed-env", "PHRASE"], 3, "key-material"),
        (["session", "none", "--print"], 3, "unknown-name"),
    ],
)
def test_an_impossible_request_is_reported(
    emulated: Emulated, arguments: list[str], exit_code: int, problem: str
) -> None:
    emulated.project.environ |= {"BAD": "canary", "PHRASE": "canary canary"}
    result = emulated.run("wallet", *arguments, "--json")
    assert (result.code, result.codes) == (exit_code, [problem]), result.err
    assert "canary" not in result.err


def test_a_third_party_can_use_the_session(emulated: Emulated, tmp_path: Path) -> None:
    assert emulated.run("apply", "--yes").code == 0
    file = tmp_path / "session.json"
    result = emulated.run("wallet", "session", "gpu-a", "--out", str(file))
    assert result.code == 0, result.err
    got = json.loads(file.read_text())
    assert got["session_id"] not in result.out + result.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = emulated.run("wallet", "session", "gpu-a", "--print", "--json").json
    assert shown == got
    made = emulated.project
    identities(made, guest={"sessions": {NODE_ID: {"id": {"env": "ID"}, "sign": {"env": "SIGN"}}}})
    made.environ |= {"ID": got["session_id"], "SIGN": got["session_id_sign"]}
    del made.environ["SEED"]
    rows = emulated.run("vm", "list", "--node", NODE_ID, "--identity", "guest", "--json")
    assert (rows.code, len(rows.json)) == (0, 1), rows.err


@pytest.mark.parametrize("options", [[], ["--print", "--out", "new.json"], ["--out", "dbc-iac.yaml"]])
def test_a_session_that_would_go_nowhere_is_not_obtained(emulated: Emulated, options: list[str]) -> None:
    calls: list[CallEvent] = []
    arguments = ["wallet", "session", "gpu-a", *options, "--json"]
    run = emulated.loop.run_until_complete
    result = emulated.project.run(*arguments, transport=emulated.network.transport, run=run, called=calls.append)
    assert (result.code, result.codes) == ((1, ["file-exists"]) if options[:1] == ["--out"] else (3, ["usage"]))
    assert calls == []


def test_a_machine_that_is_not_rented_gives_no_session(tmp_path: Path) -> None:
    made = Emulated(
        project(tmp_path, document("Network", "x", {"name": "xxxxxx", "via": "gpu-a", "cidr": "10.0.0.0/24"})),
        {"orders": {}},
    )
    result = made.run("wallet", "session", "gpu-a", "--print", "--json")
    assert (result.code, result.codes) == (4, ["refused"])
    made.close()


def test_an_identity_is_named_as_other_things_are(tmp_path: Path) -> None:
    made = project(tmp_path, environ={"SEED": SEED})
    assert (
        made.run("wallet", "address", "tenant", "--json").json
        == made.run("wallet", "address", "--identity", "tenant", "--json").json
    )
    result = made.run("wallet", "address", "tenant", "--identity", "other", "--json")
    assert (result.code, result.codes) == (3, ["usage"])
