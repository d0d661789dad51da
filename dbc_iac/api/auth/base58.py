"""Base58 as DBC uses it: SS58 addresses (prefix 42 only) and Base58Check. Pure.

A wallet is compared with the chain's text as text, so only the one canonical form of an address is accepted.
"""

from __future__ import annotations

import hashlib

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
SS58_PREFIX = 42


class AddressError(ValueError):
    """Text that is not an SS58 address with prefix 42."""


def b58encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    letters: list[str] = []
    while number:
        number, index = divmod(number, 58)
        letters.append(_ALPHABET[index])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def b58decode(text: str) -> bytes:
    """Raises ValueError on a letter outside the alphabet."""
    number = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError("a letter that base58 does not have")
        number = number * 58 + _VALUES[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def ss58_encode(public_key: bytes) -> str:
    """The address of a 32-byte public key or account id, with prefix 42: it starts with `5`."""
    if len(public_key) != 32:
        raise ValueError("a public key has 32 bytes")
    body = bytes([SS58_PREFIX]) + public_key
    return b58encode(body + _ss58_checksum(body))


def ss58_decode(address: str) -> bytes:
    """The 32 bytes behind an address. Raises AddressError: another prefix, length or checksum."""
    try:
        raw = b58decode(address)
    except ValueError as error:
        raise AddressError(f"not an SS58 address: {error}") from None
    if len(raw) != 35:
        raise AddressError("not an SS58 address of a 32-byte key")
    if raw[0] != SS58_PREFIX:
        raise AddressError(f"an address of another network (prefix {raw[0]}); DBC wallets have prefix {SS58_PREFIX}")
    if _ss58_checksum(raw[:33]) != raw[33:]:
        raise AddressError("the checksum of the address is wrong: a mistyped letter?")
    return raw[1:33]


def _ss58_checksum(body: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + body, digest_size=64).digest()[:2]


def b58check_encode(body: bytes) -> str:
    """Base58Check: the bytes and their checksum."""
    return b58encode(body + _checksum(body))


def b58check_decode(text: str) -> bytes:
    """The bytes of a Base58Check text. Raises ValueError on a wrong letter or checksum."""
    raw = b58decode(text)
    if len(raw) < 4 or _checksum(raw[:-4]) != raw[-4:]:
        raise ValueError("a wrong checksum")
    return raw[:-4]


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
