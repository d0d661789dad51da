"""`python -m tests.conformance FILE...`: what matched, what differs, and what was left out, per file."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conformance.replay import Replay


def main(files: list[str]) -> int:
    differing = 0
    for name in files:
        outcome = Replay(Path(name)).run()
        differing += len(outcome.differing)
        print(f"{Path(name).name}: matched {outcome.matched}, differing {len(outcome.differing)}")
        for reason, count in sorted(outcome.left_out.items()):
            print(f"     left out {count}: {reason}")
        for found in outcome.differing.values():
            for difference in found:
                print(f"  {difference}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
