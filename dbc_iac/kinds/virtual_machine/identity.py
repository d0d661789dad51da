"""Task ids that cannot be guessed.

A node checks no ownership: anyone with the task id can delete the VM. So ids are derived from a keyed hash, are never
reused (each creation takes the next generation), and can be derived again without a lookup.
"""

from __future__ import annotations

import hashlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
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
