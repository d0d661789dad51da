"""Projects of given files, for pre-commit hooks, which pass files of a whole repository."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dbc_iac.manifest.project import FILE


def project_directories(files: Iterable[Path]) -> list[Path]:
    """Project directories of the files: for each, the nearest parent with a project file, if any."""
    found = {next((p for p in file.parents if (p / FILE).is_file()), None) for file in files}
    return sorted(directory for directory in found if directory is not None)
