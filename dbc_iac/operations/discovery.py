"""Projects of given files, for pre-commit hooks, which pass files of a whole repository."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.files.reading import file_problem
from dbc_iac.manifest.project import FILE


def project_directories(files: Collection[Path]) -> list[Path]:
    """Project directories of the files. Raises DiagnosticError for files that do not exist."""
    missing = Diagnostics()
    for file in files:
        try:
            file.stat()
        except OSError as error:
            missing.add(file_problem(file, error))
    missing.raise_errors()
    return sorted({found for file in files if (found := project_directory(file)) is not None})


def project_directory(file: Path) -> Path | None:
    """The nearest parent with a project file; None if the file belongs to no project."""
    return next((p for p in file.parents if (p / FILE).is_file()), None)
