"""Peak memory of a plan from the state alone, by the number of VMs: all unchanged, new or removed, in each form.

    python -m benchmarks.memory [VMS ...]

Each plan is a process of its own. Fails if one takes more than LIMIT, or more than GROWTH times as much per VM at the
largest number as at the smallest.
"""

from __future__ import annotations

import gc
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


def write_file(situation: str, count: int, folder: Path) -> None:
    """Write a plan file, on made-up observations: `plan -o` reads the API."""
    from benchmarks.growth import SITUATIONS, Phases, Planned
    from dbc_iac.__main__ import COLLECT_AFTER
    from dbc_iac.operations.plan_files import write_plan_file

    gc.set_threshold(COLLECT_AFTER, 20, 20)  # as in the command
    planned, phases = Planned(SITUATIONS[situation], count, folder), Phases()
    write_plan_file(planned.plan(phases, *planned.prepare(phases)), folder / "the.plan", None, None)


def peak(situation: str, count: int, *arguments: str) -> float:
    """Peak memory of `plan --refresh=false`, or, with -o, of planning and writing a plan file; in MB."""
    function = "write_file" if "-o" in arguments else "prepare"
    with tempfile.TemporaryDirectory() as folder:
        code = f"from benchmarks.memory import *; {function}({situation!r}, {count}, Path({folder!r}))"
        used = _peak([sys.executable, "-c", code])
        if function == "prepare":
            used = _peak([sys.executable, "-m", "dbc_iac", "-C", folder, "plan", "--refresh=false", *arguments])
        return used


def _peak(line: list[str]) -> float:
    """Peak memory of a process, in MB. Raises AssertionError if it fails."""
    with subprocess.Popen(line, env={**os.environ, "SEED": SEED}, stdout=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, child.returncode
    return used.ru_maxrss * 1024 / 1e6


def main() -> int:
    counts = [int(a) for a in sys.argv[1:]] or [1_000, 10_000, 100_000]
    failed = False
    for situation, arguments in (
        ("unchanged", ()), ("new", ()), ("new", ("--json",)), ("new", ("--html", "/dev/null")), ("new", ("-o",)),
        ("removed", ("--max-removals", "100", "--allow-empty")),
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
