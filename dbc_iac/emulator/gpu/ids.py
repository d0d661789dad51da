"""Generated names: task ids, passwords, disk and snapshot files."""

from __future__ import annotations

import hashlib
import random
import string

from dbc_iac.emulator.gpu.timing import Clock, file_stamp

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PASSWORD = string.ascii_uppercase + string.ascii_lowercase + string.digits + "_/+[]@#^"


def task_id(clock: Clock, source: random.Random) -> str:
    """Base58Check of twelve digits, a random number and the clock's microseconds: 22 characters.

    (The original does not pad its numbers; its ids are sometimes shorter.)
    """
    microseconds = (clock.wall().microsecond + source.randrange(1_000_000)) % 1_000_000
    text = f"{source.randrange(100_000, 1_000_000)}{microseconds:06}".encode()
    checked = text + hashlib.sha256(hashlib.sha256(text).digest()).digest()[:4]
    number, letters = int.from_bytes(checked, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _BASE58[digit] + letters
    return letters


def password(source: random.Random) -> str:
    """16 characters, the first a letter."""
    return source.choice(_PASSWORD[:52]) + "".join(source.choices(_PASSWORD, k=15))


def vm_file(directory: str, prefix: str, clock: Clock, source: random.Random) -> str:
    """`<directory>/<prefix>_<0-99999>_<date>.qcow2`; a trailing slash of the directory is kept."""
    return f"{directory}/{prefix}_{source.randrange(100_000)}_{file_stamp(clock)}.qcow2"


def snapshot_file(clock: Clock, source: random.Random) -> str:
    return f"/tmp/dbc_snapshots/snap_{source.randrange(100_000)}_{file_stamp(clock)}_vda.qcow2"  # noqa: S108
