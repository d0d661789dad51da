"""Task ids that cannot be guessed, and the digest in the marker of a VM.

A node checks no ownership: anyone with the task id can delete the VM. So ids are derived from a keyed hash, are never
reused (each creation takes the next generation), and can be derived again without a lookup.
"""

from __future__ import annotations

import hashlib

from dbc_iac.json import Json

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HIDDEN = ("image", "biosMode", "multicast", "nicModel", "dataDisk.file")
"""Fields in the digest. Their order is fixed: the digests of existing markers depend on it."""
LENGTH = 22
"""Characters of a task id; nodes accept 20 to 22 letters and digits."""


def task_id(uid: str, stack: str, address: str, generation: int) -> str:
    """The task id of one creation: 22 letters and digits (131 bits) of a BLAKE2b keyed with the project's `uid`."""
    text = f"{stack}\0{address}\0{generation}".encode()
    number = int.from_bytes(hashlib.blake2b(text, key=bytes.fromhex(uid), digest_size=32).digest(), "big")
    letters = []
    for _ in range(LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def hidden_digest(desired: dict[str, Json]) -> str:
    """Digest of the fields that the API never shows. It proves their values when a state is rebuilt."""
    text = "\n".join(f"{name}={desired.get(name)!r}" for name in HIDDEN)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
