"""Cryptography of the nodes: sr25519 signatures over plain text, SS58 addresses, Base58Check ids."""

from __future__ import annotations

import binascii
import hashlib
import random
from functools import lru_cache

import sr25519

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58(text: str) -> bytes:
    """Decode Base58. Raises ValueError for other characters."""
    number = 0
    for letter in text:
        number = number * 58 + _ALPHABET.index(letter)
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(data: bytes) -> str:
    return base58(data + hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4])


def public_key(wallet: str) -> bytes | None:
    """Public key of an SS58 address or of 64 hex digits, `0x` optional; None for anything else."""
    text = wallet.removeprefix("0x")
    if len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text):
        return bytes.fromhex(text)
    try:
        data = unbase58(text)
    except ValueError:
        return None
    if len(data) != 35 or hashlib.blake2b(b"SS58PRE" + data[:33]).digest()[:2] != data[33:]:
        return None
    return data[1:33]


def address(key: bytes) -> str:
    data = bytes([42]) + key
    return base58(data + hashlib.blake2b(b"SS58PRE" + data).digest()[:2])


def multisig_account(wallets: list[str], threshold: int) -> str | None:
    """Account of sorted members, derived as Substrate specifies; None if a member is not an address."""
    keys = [public_key(w) for w in wallets]
    if not 1 <= threshold <= 0xFFFF or len(wallets) > 63 or any(k is None for k in keys):
        return None
    members = sorted(k for k in keys if k is not None)
    data = b"modlpy/utilisuba" + bytes([len(members) << 2]) + b"".join(members) + threshold.to_bytes(2, "little")
    return address(hashlib.blake2b(data, digest_size=32).digest())


@lru_cache(maxsize=1024)
def verifies(wallet: str, text: str, sign: str) -> bool:
    """Whether `sign` (hex, `0x` allowed) is the wallet's signature over the text's bytes.

    Kept: a session's signature comes with each of its requests.
    """
    key = public_key(wallet)
    try:
        signature = binascii.unhexlify(sign.removeprefix("0x"))
        message = text.encode("utf-8", "surrogateescape")
        return key is not None and len(signature) == 64 and bool(sr25519.verify(signature, message, key))
    except ValueError:
        return False


def new_key(source: random.Random) -> tuple[str, str]:
    """Generate a key pair: node id and private key, both 64 hex digits."""
    seed = source.randbytes(32)
    return sr25519.pair_from_seed(seed)[0].hex(), seed.hex()


def node_id_of(seed: str) -> str:
    found: str = sr25519.pair_from_seed(bytes.fromhex(seed))[0].hex()
    return found


def session_id(source: random.Random) -> str:
    """Base58Check of a random UUID's text."""
    digits = f"{source.getrandbits(128):032x}"
    uuid = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    return base58check(uuid.encode())
