"""polkadot-js keystores of every version, made here by an independent writer of the format."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import sr25519
from nacl.secret import SecretBox

from dbc_iac.api.auth.keys import KeyMaterialError
from dbc_iac.api.auth.keystore import open_keystore
from dbc_iac.secret import SecretText
from tests.api.support import key

SEED = hashlib.sha256(b"made-up-renter").digest()
PUBLIC, SECRET = sr25519.pair_from_seed(SEED)
HEADER = bytes.fromhex("3053020101300506032b657004220420")
DIVIDER = bytes.fromhex("a123032100")
PASSWORD = "Canary pass phrase"


def pkcs8(secret: bytes, public: bytes = PUBLIC) -> bytes:
    return HEADER + secret + DIVIDER + public


def keystore(
    version: str = "3",
    secret: bytes = b"",
    content: Any = ("pkcs8", "sr25519"),
    address: str = "",
    public: bytes = PUBLIC,
    costs: tuple[int, int, int] = (1 << 13, 1, 8),
) -> str:
    body = pkcs8(secret or sr25519.convert_secret_key_to_ed25519(SECRET), public)
    salt, nonce = bytes(range(32)), bytes(range(24))
    if version == "3":
        n, p, r = costs
        stretched = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=1 << 13, p=1, r=8, maxmem=2**26, dklen=64)
        sealed = SecretBox(stretched[:32]).encrypt(body, nonce).ciphertext
        raw = salt + b"".join(x.to_bytes(4, "little") for x in (n, p, r)) + nonce + sealed
        kinds: Any = ["scrypt", "xsalsa20-poly1305"]
        encoded = base64.b64encode(raw).decode()
    else:
        sealed = SecretBox(PASSWORD.encode()[:32].ljust(32, b"\0")).encrypt(body, nonce).ciphertext
        kinds = "xsalsa20-poly1305"
        encoded = "0x" + (nonce + sealed).hex()
    return json.dumps(
        {
            "address": address or key("renter").address,
            "encoded": encoded,
            "encoding": {"content": content, "type": kinds, "version": version},
            "meta": {"name": "made up"},
        }
    )


@pytest.mark.parametrize("version", ["0", "1", "2", "3"])
@pytest.mark.parametrize("form", ["secret key", "seed"])
def test_a_keystore_gives_its_key(version: str, form: str) -> None:
    content: Any = "pkcs8" if version == "0" else ["pkcs8", "sr25519"]
    exported = keystore(version, SEED if form == "seed" else b"", content)
    assert open_keystore(exported, SecretText(PASSWORD)).address == key("renter").address


def test_the_address_may_be_of_another_network() -> None:
    generic = hashlib.blake2b(b"SS58PRE\0" + PUBLIC, digest_size=64).digest()[:2]
    from dbc_iac.api.auth.keys import b58encode

    exported = keystore(address=b58encode(b"\0" + PUBLIC + generic))
    assert open_keystore(exported, SecretText(PASSWORD)).address == key("renter").address


@pytest.mark.parametrize("version", ["1", "3"])
def test_a_wrong_password_is_reported_and_not_printed(version: str) -> None:
    with pytest.raises(KeyMaterialError, match="password") as refused:
        open_keystore(keystore(version), SecretText("Canary wrong"))
    assert "Canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("exported", "why"),
    [
        (keystore(address=key("other").address), "address"),
        (keystore(address="nonsense0"), "address"),
        (keystore(public=key("other").public_key), "belong together"),
        (keystore(content=["pkcs8", "ed25519"]), "sr25519"),
        (keystore(content=["raw"]), "version"),
        (keystore().replace('"version": "3"', '"version": "4"'), "version"),
        (keystore(costs=(1 << 30, 1, 8)), "scrypt"),
        (keystore(costs=(1 << 13, 1 << 30, 8)), "scrypt"),
        (keystore(costs=(0, 0, 0)), "scrypt"),
        (keystore(costs=(12345, 1, 8)), "scrypt"),
        (keystore(secret=b"x" * 40), "PKCS8"),
        (keystore().replace('"scrypt", "xsalsa20-poly1305"', '"rot13"'), "encryption"),
        ("{}", "polkadot-js"),
        ("[]", "polkadot-js"),
        ("seed words", "polkadot-js"),
        ('{"address":1,"encoded":"%%","encoding":{"content":[],"type":[],"version":"3"}}', "polkadot-js"),
        (keystore("1").replace('"0x', '"0xzz'), "polkadot-js"),
    ],
)
def test_a_keystore_that_lies_or_is_none_is_refused(exported: str, why: str) -> None:
    with pytest.raises(KeyMaterialError, match=why):
        open_keystore(exported, SecretText(PASSWORD))


@pytest.mark.parametrize("wrong", [None, 0, True, 1.5, "x", [], [1], ["x"], {}, {"x": 1}, [[]]])
@pytest.mark.parametrize("field", ["encoded", "address", "encoding", "content", "type", "version"])
def test_a_keystore_with_a_value_of_another_type_is_refused(field: str, wrong: object) -> None:
    encoding = {"content": ["pkcs8", "sr25519"], "type": ["none"], "version": "3"}
    exported: dict[str, object] = {"encoded": "MFMC", "encoding": encoding, "address": "5G"}
    if field in encoding:
        exported["encoding"] = {**encoding, field: wrong}
    else:
        exported[field] = wrong
    with pytest.raises(KeyMaterialError):
        open_keystore(json.dumps(exported), SecretText("pw"))
