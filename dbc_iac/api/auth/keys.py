"""sr25519 keys of wallets and nodes, their SS58 addresses, and the two texts that they sign. No I/O.

A wallet's key also signs transactions of the chain, in the same scheme over raw bytes. So a key signs no text that
another party chose freely, but nonces of dbc-iac and checked session ids. Both texts are Base58Check of a UUID: always
55 letters and digits. No transaction has this form: its signed payload contains two 32-byte block hashes, or is the
32-byte hash of a longer payload. `Sr25519Key.sign` is the only call that signs with a wallet or node key.

A signature covers the raw ASCII bytes of the signed text, nothing else: no wrapper, no hash, no hexadecimal. It is sent
as 128 hexadecimal digits. Signatures are randomised: two of the same text differ, so they are verified, never compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NoReturn, final
from uuid import UUID

import sr25519
from msgspec import Struct

from dbc_iac.secret import SecretText

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SS58_PREFIX = 42
_SIGNABLE_LENGTH = 55
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX64 = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_JUNCTION = re.compile(r"(//?)([^/]+)")
_PATH = re.compile(r"(//?[^/]+)*")


class AddressError(ValueError):
    """Text that is not an SS58 address with prefix 42."""


class KeyMaterialError(ValueError):
    """A seed, phrase, path or keystore that gives no key. The text never holds any of it."""


@final
class Nonce(Struct, frozen=True):
    """A nonce in the form of DBC's own tool. Made of a UUID, never of a given text."""

    uuid: UUID

    @property
    def text(self) -> str:
        return b58check_encode(str(self.uuid).encode())


@final
class SessionId(Struct, frozen=True):
    """A session id as nodes make them. Raises ValueError for any other text."""

    secret: SecretText

    def __post_init__(self) -> None:
        text = self.secret.reveal()
        # The length comes first: decoding takes time with the square of it.
        uuid = b58decode(text)[:-4] if len(text) == _SIGNABLE_LENGTH else b""
        if not _UUID.fullmatch(uuid) or b58check_encode(uuid) != text:
            raise ValueError("not a session id")

    @property
    def text(self) -> str:
        return self.secret.reveal()


Signable = Nonce | SessionId


@final
class Sr25519Key:
    """A key pair. The secret half is never shown, compared or pickled."""

    __slots__ = ("_secret", "address", "public_key")

    def __init__(self, public_key: bytes, secret: bytes) -> None:
        """`secret` is the 64-byte secret key in sr25519's own form."""
        if len(public_key) != 32 or len(secret) != 64:
            raise KeyMaterialError("a key pair has 32 public and 64 secret bytes")
        self.public_key = public_key
        self.address = ss58_encode(public_key)
        """SS58, prefix 42: how a wallet is written."""
        self._secret = secret

    @classmethod
    def from_seed(cls, seed: SecretText) -> Sr25519Key:
        """From 64 hexadecimal digits, `0x` before them or not. Node keys have the same form."""
        match = _HEX64.fullmatch(seed.reveal().strip())
        if not match:
            raise KeyMaterialError("a seed is 64 hexadecimal digits")
        return cls(*sr25519.pair_from_seed(bytes.fromhex(match[1])))

    @classmethod
    def from_mnemonic(cls, phrase: SecretText, path: str = "", password: SecretText | None = None) -> Sr25519Key:
        """From a phrase of 12 to 24 English words, with a derivation path such as `//hard/soft` and a password.

        Needs the extra `mnemonic`. The secret is Substrate's: made of the phrase's entropy, not BIP-39's own seed.
        """
        bip39 = _bip39()
        words = " ".join(phrase.reveal().split())
        if not bip39.bip39_validate(words):
            raise KeyMaterialError(
                "not a valid mnemonic phrase: a word is not in the English list, or the checksum is wrong"
            )
        mini = bytes(bip39.bip39_to_mini_secret(words, password.reveal() if password else ""))
        return cls(*sr25519.pair_from_seed(mini)).derive(path)

    @staticmethod
    def new_mnemonic(words: int) -> SecretText:
        """A new phrase of 12 or 24 English words. Needs the extra `mnemonic`."""
        return SecretText(_bip39().bip39_generate(words))

    def derive(self, path: str) -> Sr25519Key:
        """The key at `path`: `//name` is a hard step, `/name` a soft one; a decimal name is a number."""
        if not _PATH.fullmatch(path):
            raise KeyMaterialError("a derivation path is made of //hard and /soft steps")
        public, secret = self.public_key, self._secret
        for slashes, name in _JUNCTION.findall(path):
            step = sr25519.hard_derive_keypair if slashes == "//" else sr25519.derive_keypair
            _, public, secret = step((_chain_code(name), public, secret), b"")
        return Sr25519Key(bytes(public), bytes(secret))

    @property
    def node_id(self) -> str:
        """64 lower-case hexadecimal digits: how a node is written."""
        return self.public_key.hex()

    def sign(self, message: Signable) -> str:
        """Sign an own nonce or a checked session id: 128 hexadecimal digits. Raises TypeError for anything else."""
        if not isinstance(message, Nonce | SessionId):
            raise TypeError("a key signs nonces and session ids only")
        signature: bytes = sr25519.sign((self.public_key, self._secret), message.text.encode())
        return signature.hex()

    def __repr__(self) -> str:
        return f"Sr25519Key({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled")


def verify(public_key: bytes, text: str, signature: str) -> bool:
    """Whether `signature` (hexadecimal, `0x` before it or not) over `text` is by `public_key`."""
    try:
        return bool(sr25519.verify(bytes.fromhex(signature.removeprefix("0x")), text.encode(), public_key))
    except ValueError:  # not hexadecimal, or not of a signature's length
        return False


def public_key_of(wallet: str) -> bytes:
    """The public key behind a wallet: an SS58 address, or a node id. Raises AddressError."""
    match = _HEX64.fullmatch(wallet)
    return bytes.fromhex(match[1]) if match else ss58_decode(wallet)


def ss58_encode(public_key: bytes) -> str:
    """The address of a 32-byte public key or account id, with prefix 42: it starts with `5`."""
    if len(public_key) != 32:
        raise ValueError("a public key has 32 bytes")
    body = bytes([_SS58_PREFIX]) + public_key
    return b58encode(body + hashlib.blake2b(b"SS58PRE" + body, digest_size=64).digest()[:2])


def ss58_decode(address: str) -> bytes:
    """The 32 bytes behind an address. Raises AddressError: another prefix, length or checksum.

    A wallet is compared with the chain's text as text, so only the one canonical form of an address is accepted.
    """
    try:
        raw = b58decode(address)
    except ValueError as error:
        raise AddressError(f"not an SS58 address: {error}") from None
    if len(raw) != 35:
        raise AddressError("not an SS58 address of a 32-byte key")
    if raw[0] != _SS58_PREFIX:
        raise AddressError(f"an address of another network (prefix {raw[0]}); DBC wallets have prefix {_SS58_PREFIX}")
    if ss58_encode(raw[1:33]) != address:
        raise AddressError("the checksum of the address is wrong: a mistyped letter?")
    return raw[1:33]


def b58check_encode(body: bytes) -> str:
    """Base58Check: the bytes and their checksum."""
    return b58encode(body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4])


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
        index = _ALPHABET.find(letter)
        if index < 0:
            raise ValueError("a letter that base58 does not have")
        number = number * 58 + index
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def multisig_address(wallets: Sequence[str], threshold: int) -> str:
    """The account of a multisig by Substrate's published rule; that DBC's closed library does the same is unverified.

    The order of `wallets` does not matter.
    """
    keys = sorted(ss58_decode(wallet) for wallet in wallets)
    if not 1 <= threshold <= len(keys) or len(set(keys)) != len(keys) or len(keys) > 63:
        raise ValueError("a multisig has 1-63 distinct wallets, and a threshold up to their number")
    # SCALE: a vector is its length (times 4, in one byte below 64) and its items; u16 is little-endian.
    entropy = b"modlpy/utilisuba" + bytes([len(keys) << 2]) + b"".join(keys) + threshold.to_bytes(2, "little")
    return ss58_encode(hashlib.blake2b(entropy, digest_size=32).digest())


def _chain_code(name: str) -> bytes:
    """A step's 32 bytes: a number as 64 bits, else the text in SCALE, hashed when it is longer."""
    if name.isascii() and name.isdigit() and int(name) < 2**64:
        return int(name).to_bytes(8, "little").ljust(32, b"\0")
    text = name.encode()
    if len(text) >= 2**14:
        raise KeyMaterialError("a step of a derivation path is too long")
    length = bytes([len(text) << 2]) if len(text) < 64 else (len(text) << 2 | 1).to_bytes(2, "little")
    scale = length + text
    return hashlib.blake2b(scale, digest_size=32).digest() if len(scale) > 32 else scale.ljust(32, b"\0")


def _bip39() -> Any:
    try:
        import bip39
    except ImportError:
        raise KeyMaterialError("a mnemonic needs an extra package: pip install 'dbc-iac[mnemonic]'") from None
    return bip39
