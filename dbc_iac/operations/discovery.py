"""Projects that files belong to: pre-commit hooks pass the files of a whole repository, and know no project."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dbc_iac.manifest.project import FILE


def project_directories(files: Iterable[Path]) -> list[Path]:
    """The directories of the projects that files may belong to: of each file the nearest one with a project file."""
    found = {next((p for p in file.parents if (p / FILE).is_file()), None) for file in files}
    return sorted(directory for directory in found if directory is not None)
