"""Keys sign nonces of dbc-iac and checked session ids only, for any text of a node, a file or a user."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dbc_iac
from dbc_iac.api.auth.credentials import Credentials, MultisigCredentials, WalletCredentials
from dbc_iac.api.auth.keys import Nonce, SessionId, b58check_encode, b58encode, verify
from dbc_iac.api.idempotency import CallClass
from dbc_iac.secret import SecretText
from tests.api.support import Script, channel, exchanges, key, nonce, ok, run, session_id, signed_texts

UUID_TEXT = "a2abb402-29ae-4957-bf37-5961d529c1b8"
GENESIS = hashlib.sha256(b"genesis").digest()
TRANSFER = b"\x06\x00" + key("other").public_key + b"\x0b\x00\x40\x7a\x10\xf3\x5a" + b"\0" * 11 + GENESIS * 2
"""The payload of a transaction: call, nonce and tip, versions, genesis and block hash."""
MEMBERS = [key(name) for name in ("ms1", "ms2")]
RENTERS: list[Credentials] = [
    WalletCredentials(key("renter")),
    MultisigCredentials([member.address for member in MEMBERS], 2, MEMBERS),
]


def accepted(text: str) -> bool:
    try:
        SessionId(SecretText(text))
    except ValueError:
        return False
    return True


def checked(body: bytes) -> str:
    """Base58Check, written down once more: the tests share no code with what they test."""
    return b58encode(body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4])


# The form


def test_a_nonce_is_that_of_the_vendor_s_tool() -> None:
    assert Nonce(UUID(UUID_TEXT)).text == "5q7KRn4d8EmXFFsim8vHBp23N2CpERbD2mWR3WCo1o3teZnGxYEh4N6"


@given(st.uuids())
def test_nonces_and_session_ids_have_one_form(uuid: UUID) -> None:
    text = Nonce(uuid).text
    assert text == checked(str(uuid).encode())
    assert len(text) == 55
    assert accepted(text)


@pytest.mark.parametrize(
    "text",
    [  # of the vendor's documents
        "3QRjS1PsbDReGJKVBBRqxUh9RqXB5jbfHJ8bMgGoJ3C9HHHHm9rCmmh",
        "663dmJngqu1yUmENnFM6PEsaeCKXTc4XHj6NfYbnA1ooLXuMDpNLmZu",
    ],
)
def test_a_session_id_of_a_node_is_accepted(text: str) -> None:
    assert accepted(text)


def test_every_recorded_session_id_is_accepted() -> None:
    replies = [e["response"]["body"] for e in exchanges() if "mining_nodes/session_id" in json.dumps(e["request"])]
    ids = [i for i in map(_id, replies) if i is not None]
    assert ids
    assert [i for i in ids if not accepted(i)] == []


def _id(body: Any) -> str | None:
    value = json.loads(body) if isinstance(body, str) else body
    message = value.get("message") if isinstance(value, dict) else None
    return message.get("session_id") if isinstance(message, dict) else None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 32,  # could be the hash of a long transaction
        "A" * 55,
        "A" * 300,
        "1" * 1_000_000,  # decoding takes time with the square of the length
        TRANSFER.decode("latin-1"),
        UUID_TEXT,
        checked(UUID_TEXT.upper().encode()),
        checked(UUID_TEXT.replace("-", "0").encode()),
        checked(f"{{{UUID_TEXT}}}".encode()),
        checked(UUID_TEXT.encode() + b"\n"),
        checked(UUID(UUID_TEXT).bytes),
        checked(hashlib.sha256(b"36 bytes").digest() + b"1234"),
        checked("\u0661".encode() * 18),
        b58encode(UUID_TEXT.encode() + b"\0\0\0\0"),
        session_id(0).text[:-1],
        session_id(0).text[:-1] + "\ud800",
        session_id(0).text + " ",
        " " + session_id(0).text,
        "1" + session_id(0).text,
        f"<Bytes>{session_id(0).text}</Bytes>",
        session_id(0).text.lower(),
    ],
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    assert not accepted(text)


@given(st.text() | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=55, max_size=55))
def test_a_free_text_is_refused(text: str) -> None:
    assert not accepted(text)


@given(st.binary(max_size=300))
def test_a_checksum_over_free_bytes_is_refused(body: bytes) -> None:
    assert not accepted(b58check_encode(body))


@given(st.integers(0, 54), st.characters())
def test_a_session_id_with_another_letter_is_refused(place: int, letter: str) -> None:
    good = session_id(5).text
    changed = good[:place] + letter + good[place + 1 :]
    assert accepted(changed) is (changed == good)


# The door


@pytest.mark.parametrize("message", ["text", nonce(0).text, b"bytes", SecretText(nonce(0).text), UUID(int=0), None])
def test_a_key_signs_nothing_but_nonces_and_session_ids(message: Any) -> None:
    with pytest.raises(TypeError):
        key("renter").sign(message)


def test_a_signature_is_over_the_text_alone() -> None:
    for message in (nonce(7), session_id(7)):
        assert verify(key("renter").public_key, message.text, key("renter").sign(message))


@pytest.mark.parametrize(
    ("code", "place"),
    [
        (r"sr25519\.sign\(", "api/auth/keys.py"),
        (r"SigningKey\(", "plan/signature.py"),  # keys for plan files alone, with a context before what they sign
        (r"from sr25519|Keypair|crypto_sign", None),
    ],
)
def test_keys_sign_in_one_place(code: str, place: str | None) -> None:
    root = Path(dbc_iac.__file__).parent
    found = [p for p in root.rglob("*.py") if re.search(code, p.read_text(encoding="utf-8"))]
    assert [p.relative_to(root).as_posix() for p in found] == ([place] if place else [])


# For any answer of a node


SESSION_REPLIES = st.one_of(
    st.binary(),
    st.text().map(lambda text: json.dumps({"errcode": 0, "message": {"session_id": text}}).encode()),
    st.binary(min_size=36, max_size=36).map(
        lambda body: json.dumps({"errcode": 0, "message": {"session_id": checked(body)}}).encode()
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.just("session_id") | st.text(), part),
    ).map(lambda message: json.dumps({"errcode": 0, "message": message}).encode()),
)


@given(SESSION_REPLIES, st.sampled_from([200, 400, 404, 500]), st.sampled_from(RENTERS))
def test_other_text_than_a_session_id_is_not_signed(body: bytes, status: int, renter: Credentials) -> None:
    script = Script(httpx.Response(status, content=body))
    with signed_texts() as signed:
        run(channel(script, credentials=renter).act("/tasks", {}, CallClass.READ))
    assert set(script.paths) == {"/mining_nodes/session_id"}
    own = {Nonce(UUID(int=n << 64 | 0x4000_8000)).text for n in range(1, 10)}  # of `uuids` in the support
    assert set(signed) <= own


@given(st.uuids())
def test_a_valid_session_id_is_signed_once(uuid: UUID) -> None:
    script = Script(ok({"session_id": checked(str(uuid).encode())}), ok("ok"))
    with signed_texts() as signed:
        run(channel(script, credentials=RENTERS[0]).act("/tasks", {}, CallClass.READ))
    assert signed == [script.bodies[0]["nonce"], checked(str(uuid).encode())]
