"""Wallets exported by polkadot-js as JSON files: opening them with their password. No I/O.

Versions 0 to 3; `sr25519` content. A key is only taken when it gives the address and public key that the file names.
"""

from __future__ import annotations

import base64
import hashlib

import sr25519

from dbc_iac.api.auth.keys import KeyMaterialError, Sr25519Key, b58decode
from dbc_iac.json import load_json
from dbc_iac.secret import SecretText

_HEADER = bytes([48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32])
_DIVIDER = bytes([161, 35, 3, 33, 0])
_NONCE = 24
_MAX_MEMORY = 2**29
"""Bytes that unlocking may take: the file names the costs, and must not be able to stop the machine."""


def open_keystore(exported: str, password: SecretText) -> Sr25519Key:
    """The key in an exported wallet. Raises KeyMaterialError: another format, a wrong password, or a file that lies."""
    try:
        document = load_json(exported)
        encoding, address = document["encoding"], document["address"]
        content, kinds, version = _texts(encoding["content"]), _texts(encoding["type"]), str(encoding["version"])
        sealed = _bytes(document["encoded"])
    except (ValueError, KeyError, TypeError):
        raise KeyMaterialError("not a wallet exported by polkadot-js") from None
    if version not in {"0", "1", "2", "3"} or "pkcs8" not in content:
        raise KeyMaterialError("a keystore of a version that is not supported (0 to 3 are)")
    if version != "0" and "sr25519" not in content:
        raise KeyMaterialError("a keystore of another kind of key; DBC wallets are sr25519")
    key = _key(_opened(sealed, kinds, password))
    if not isinstance(address, str) or not _is_address_of(key.public_key, address):
        raise KeyMaterialError("the key in the keystore is not that of the address that it names")
    return key


def _texts(value: object) -> list[str]:
    texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
    if (isinstance(value, list) and len(texts) < len(value)) or not isinstance(value, list | str):
        raise TypeError("expected text")
    return texts


def _bytes(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        raise TypeError("expected text")
    if encoded.startswith("0x"):
        return bytes.fromhex(encoded[2:])
    return base64.b64decode(encoded, validate=True)


def _opened(sealed: bytes, kinds: list[str], password: SecretText) -> bytes:
    if kinds == ["none"]:
        return sealed
    if "xsalsa20-poly1305" not in kinds:
        raise KeyMaterialError("a keystore with an encryption that is not supported")
    secret = password.reveal().encode()
    if "scrypt" in kinds:
        secret, sealed = _stretched(secret, sealed), sealed[44:]
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        return SecretBox(secret[:32].ljust(32, b"\0")).decrypt(sealed[_NONCE:], sealed[:_NONCE])
    except (CryptoError, ValueError):
        raise KeyMaterialError("the keystore does not open with this password") from None


def _stretched(password: bytes, sealed: bytes) -> bytes:
    """The password through scrypt; its salt and costs (N, p, r) stand before the sealed part."""
    salt = sealed[:32]
    n, p, r = (int.from_bytes(sealed[at : at + 4], "little") for at in (32, 36, 40))
    try:
        if 128 * n * r * max(p, 1) > _MAX_MEMORY:
            raise ValueError
        return hashlib.scrypt(password, salt=salt, n=n, p=p, r=r, maxmem=_MAX_MEMORY, dklen=64)
    except (ValueError, OverflowError):
        raise KeyMaterialError("the keystore asks for scrypt costs that are not supported") from None


def _key(opened: bytes) -> Sr25519Key:
    if not opened.startswith(_HEADER):
        raise KeyMaterialError("the keystore holds no PKCS8 key")
    body = opened[len(_HEADER) :]
    if body[64:69] == _DIVIDER:  # a secret key in the form of ed25519
        secret, public = body[:64], body[69:101]
        try:
            pair = sr25519.pair_from_ed25519_secret_key(secret)
        except (ValueError, TypeError):
            raise KeyMaterialError("the keystore holds a key that is not sr25519") from None
    elif body[32:37] == _DIVIDER:  # older files: the seed
        pair, public = sr25519.pair_from_seed(body[:32]), body[37:69]
    else:
        raise KeyMaterialError("the keystore holds no PKCS8 key")
    key = Sr25519Key(*pair)
    if key.public_key != public:
        raise KeyMaterialError("the keystore's secret and public key do not belong together")
    return key


def _is_address_of(public_key: bytes, address: str) -> bool:
    """Whether an address of any network is of this key: polkadot-js writes the prefix of the chain it was used on."""
    try:
        raw = b58decode(address)
    except ValueError:
        return False
    length = 1 if raw[:1] < b"\x40" else 2  # networks from 64 on have a prefix of two bytes
    checksum = hashlib.blake2b(b"SS58PRE" + raw[:-2], digest_size=64).digest()[:2]
    return raw[length:-2] == public_key and raw[-2:] == checksum
