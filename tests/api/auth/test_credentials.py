"""Envelope fields of each form of identity."""

from __future__ import annotations

import pytest

from dbc_iac.api.auth.credentials import (
    CollectedSignature,
    MultisigCredentials,
    NodeKeyCredentials,
    NonceSource,
    NoSignatureLeft,
    SessionCredentials,
    WalletCredentials,
)
from dbc_iac.api.auth.keys import public_key_of, verify
from dbc_iac.secret import SecretText
from tests.api.support import key, nonce, session_id

MEMBERS = [key(name) for name in ("ms1", "ms2", "ms3")]
WALLETS = [member.address for member in MEMBERS]


def counter() -> NonceSource:
    numbers = iter(range(100))
    return lambda: nonce(next(numbers))


def collected(name: str, number: int) -> CollectedSignature:
    return CollectedSignature(key(name).address, nonce(number).text, key(name).sign(nonce(number)))


def test_a_wallet_signs_a_fresh_nonce_each_time() -> None:
    nonces = counter()
    first, second = (WalletCredentials(key("renter")).signed(nonces) for _ in range(2))
    assert (first["nonce"], second["nonce"]) == (nonce(0).text, nonce(1).text)
    assert first["wallet"] == key("renter").address
    assert verify(key("renter").public_key, nonce(0).text, str(first["sign"]))


def test_a_manager_s_owner_is_written_as_the_node_id() -> None:
    envelope = NodeKeyCredentials(key("renter")).signed(counter())
    assert envelope["wallet"] == key("renter").node_id
    assert verify(key("renter").public_key, nonce(0).text, str(envelope["sign"]))


def test_a_session_is_the_pair_and_hides_it() -> None:
    session = SessionCredentials(SecretText("Canary1"), SecretText("Canary2"))
    assert session.envelope() == {"session_id": "Canary1", "session_id_sign": "Canary2"}
    assert "Canary" not in repr(session)


def test_a_multisig_signs_with_as_many_keys_as_the_threshold() -> None:
    multisig = MultisigCredentials(WALLETS, 2, MEMBERS)
    block = multisig.signed(counter())["multisig_accounts"]
    assert isinstance(block, dict)
    assert block["wallets"] == WALLETS
    assert block["threshold"] == "2"
    signs = block["signs"]
    assert isinstance(signs, list)
    assert [sign["wallet"] for sign in signs if isinstance(sign, dict)] == WALLETS[:2]
    for sign in signs:
        assert isinstance(sign, dict)
        assert verify(public_key_of(str(sign["wallet"])), str(sign["nonce"]), str(sign["sign"]))
    assert multisig.account == "5EdoCrLD3U1WUoZxrNLnrSgPHCzK7bs2Ev5uddBJZZeziEfM"


def test_collected_signatures_are_used_once() -> None:
    signatures = [collected(name, i) for i, name in enumerate(("ms2", "ms3", "ms2", "ms3"))]
    multisig = MultisigCredentials(WALLETS, 2, [], signatures)
    assert not multisig.signs_sessions
    used = []
    for _ in range(2):
        block = multisig.signed(counter())["multisig_accounts"]
        assert isinstance(block, dict)
        assert isinstance(block["signs"], list)
        used += [sign["nonce"] for sign in block["signs"] if isinstance(sign, dict)]
    assert sorted(map(str, used)) == sorted(nonce(i).text for i in range(4))
    with pytest.raises(NoSignatureLeft):
        multisig.signed(counter())


def test_a_configured_key_and_collected_signatures_go_together() -> None:
    multisig = MultisigCredentials(WALLETS, 2, MEMBERS[:1], [collected("ms3", 0)])
    assert multisig.signs_sessions
    block = multisig.signed(counter())["multisig_accounts"]
    assert isinstance(block, dict)
    assert isinstance(block["signs"], list)
    assert [s["wallet"] for s in block["signs"] if isinstance(s, dict)] == [WALLETS[0], WALLETS[2]]


def test_any_member_s_signature_makes_a_session_and_no_stranger_s() -> None:
    multisig = MultisigCredentials(WALLETS, 2, MEMBERS)
    assert multisig.accepts(multisig.session(session_id(0)))
    assert multisig.accepts(WalletCredentials(MEMBERS[2]).session(session_id(0)))
    assert not multisig.accepts(WalletCredentials(key("other")).session(session_id(0)))


@pytest.mark.parametrize(
    ("signers", "signatures", "why"),
    [
        (["ms1"], [], "needs 2"),
        (["ms1", "other"], [], "not among"),
        (["ms1"], [collected("ms1", 0)], "needs 2"),  # one member twice; the node would count two
        ([], [collected("ms1", 0), collected("ms1", 1)], "needs 2"),
        (["ms1"], [CollectedSignature(WALLETS[1], "a", "00" * 64)], "verify"),
    ],
)
def test_an_insufficient_multisig_is_refused(
    signers: list[str], signatures: list[CollectedSignature], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        MultisigCredentials(WALLETS, 2, [key(name) for name in signers], signatures)
