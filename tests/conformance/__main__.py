"""`python -m tests.conformance DIRECTORY or FILE...`: matches, differences and excuses per file.

Then the negative control: mutated emulators, each of which these recordings must detect.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conformance.excuses import listed
from tests.conformance.mutations import ALL, noticed
from tests.conformance.recording import recordings_in
from tests.conformance.replay import Outcome, replayed

USAGE = """no recordings given: say where they are, as in
    make conformance RECORDINGS=../recordings
    python -m tests.conformance ../recordings/01_basics_client.jsonl"""


def main(places: list[str]) -> int:
    """Exit code: 0 without differences, 1 with differences, 2 without recordings."""
    if not places:
        print(USAGE, file=sys.stderr)
        return 2
    files = [file for place in places for file in recordings_in(Path(place))]
    if not files or not all(file.is_file() for file in files):
        print(f"there are no recordings (*.jsonl) at {', '.join(places)}", file=sys.stderr)
        return 2
    outcomes = {file.stem: replayed(file) for file in files}
    for name, outcome in outcomes.items():
        tell(name, outcome)
    matched, differing, excused = (
        sum(count)
        for count in zip(*((o.matched, len(o.differing), len(o.excused)) for o in outcomes.values()), strict=True)
    )
    print(
        f"{len(files)} files: matched {matched}, differing {differing}, excused {excused} "
        f"({len(listed())} excuses are listed)"
    )
    known = [one for one in ALL if {file.stem for file in files} >= set(one.files)]
    missed = [one.name for one in known if not noticed(one, {file.stem: file for file in files})]
    print(
        f"negative control: {len(known) - len(missed)} of {len(known)} mistakes noticed"
        + (f" ({len(ALL) - len(known)} need other recordings)" if len(known) < len(ALL) else "")
    )
    for name in missed:
        print(f"  not noticed: {name}")
    return 1 if differing or missed or any(o.unreplayed for o in outcomes.values()) else 0


def tell(name: str, outcome: Outcome) -> None:
    print(f"{name}: matched {outcome.matched}, differing {len(outcome.differing)}, excused {len(outcome.excused)}")
    for number, excuse in outcome.excused.items():
        print(f"{number:6d} excused ({excuse.compare}): {excuse.reason}")
    reasons = list(outcome.skipped.values())
    for reason in sorted(set(reasons)):
        print(f"       skipped {reasons.count(reason)}: {reason}")
    for event in outcome.unreplayed:
        print(f"  cannot be replayed: {event}")
    for found in outcome.differing.values():
        for difference in found:
            print(f"  {difference}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
