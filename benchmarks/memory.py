"""Peak memory of a plan from the state alone, by the number of VMs: all unchanged, all new, all removed.

    python -m benchmarks.memory [VMS ...]

Each plan is a process of its own. Fails if one takes more than LIMIT, or more than GROWTH times as much per VM at the
largest number as at the smallest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 1_500
"""MB (10^6 bytes)."""
GROWTH = 1.2
SEED = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
"""Of a wallet made up for tests."""


def prepare(situation: str, count: int, folder: Path) -> None:
    """Write a project and its state. In a process of its own: a child begins with the memory of its parent."""
    from benchmarks.growth import SITUATIONS, Planned
    from tests.state.places import local_store

    planned = Planned(SITUATIONS[situation], count, folder)
    planned.write()
    if SITUATIONS[situation].applied is not None:
        local_store(folder / "state").begin(planned.state(planned.load().inventory))


def peak(situation: str, count: int, *arguments: str) -> float:
    """Peak memory of `plan --refresh=false`, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"from benchmarks.memory import *; prepare({situation!r}, {count}, Path({folder!r}))"
        subprocess.run([sys.executable, "-c", code], check=True)
        line = [sys.executable, "-m", "dbc_iac", "-C", folder, "plan", "--refresh=false", *arguments]
        with subprocess.Popen(line, env={**os.environ, "SEED": SEED}, stdout=subprocess.DEVNULL) as child:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, child.returncode
        return used.ru_maxrss * 1024 / 1e6


def main() -> int:
    counts = [int(a) for a in sys.argv[1:]] or [1_000, 10_000, 100_000]
    failed = False
    for situation, arguments in (
        ("unchanged", ()), ("new", ()), ("new", ("--json",)), ("removed", ("--max-removals", "100", "--allow-empty")),
    ):  # fmt: skip
        base = peak(situation, 1, *arguments)
        found = {count: peak(situation, count, *arguments) for count in counts}
        each = {count: (used - base) / count for count, used in found.items()}
        row = "".join(
            f"{count:>9,}: {used:5.0f} MB, {1000 * each[count]:4.1f} kB a VM" for count, used in found.items()
        )
        failed |= max(found.values()) > LIMIT or each[counts[-1]] > GROWTH * each[counts[0]]
        print(f"{' '.join((situation, *arguments)):<45}{row}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
