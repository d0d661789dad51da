"""Announcement of `make test`: its duration, and the tests that will be skipped on this machine, with the remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINUTES = 5
"""Duration on two cores with three processes, which wait for others much of the time."""


def skipped(environ: Mapping[str, str], root: Path = ROOT) -> Iterator[str]:
    """The tests that need something that this machine does not have."""
    browsers = Path(environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    if not shutil.which("chromium") and not any(browsers.glob("chromium*")):
        yield "pages in a browser: no Chromium (make browser)"
    recordings = [Path(p) for p in environ.get("RECORDINGS", "").split()] or [root.parent / "shared/recordings"]
    if not any(path.exists() for path in recordings):
        yield "recordings of real nodes: not part of the repository (RECORDINGS=DIR make test)"
    if not (root.parent / "shared/api").is_dir():
        yield "the public API document: not part of the repository"
    if not shutil.which("jq"):
        yield "filters of GitHub jobs: no jq"


def announcement(environ: Mapping[str, str], root: Path = ROOT, cores: int = 2) -> str:
    """The lines that are printed before the tests."""
    jobs = int(environ.get("JOBS", "3"))
    minutes = MINUTES * 2 / max(1, min(jobs, cores))
    lines = [f"Lint, types, import layers and tests: about {minutes:.0f} minutes with {jobs} processes."]
    lines += [f"Skipped: {one}." for one in skipped(environ, root)] or ["Nothing is skipped."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(announcement(os.environ, cores=os.cpu_count() or 2) + "\n")
