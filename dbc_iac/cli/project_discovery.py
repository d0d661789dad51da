"""Which projects files belong to: hooks are given files of a whole repository, and know of no project."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.files.reading import real_path
from dbc_iac.manifest.project import FILE


def projects_of(app: App, files: Iterable[Path]) -> list[App]:
    """The projects that files may belong to: of each the nearest directory above it with a project file, seen from
    where the command was called. One invocation for each."""
    found = {next((p for p in file.parents if (p / FILE).is_file()), None) for file in files}
    return [dataclasses.replace(app, directory=directory) for directory in sorted(d for d in found if d is not None)]


def read_by(app: App) -> set[Path]:
    """The files that a project is read from, those of all its environments too; as far as it can be read."""
    from dbc_iac.cli.workspace import Workspace

    app.sources.clear()
    names: set[Path] = set()
    with suppress(DiagnosticError):
        spec = Workspace.load(app).loaded.project
        names = {app.directory / name for chosen in spec.environments.values() for name in chosen.variables}
    return {real_path(path) for path in (*names, *map(Path, app.sources))}
