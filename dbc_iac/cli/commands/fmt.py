"""`fmt`: format the YAML files of projects; also the pre-commit hook."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.files.reading import real_path
from dbc_iac.operations.discovery import project_directories
from dbc_iac.operations.formatting import files_in, format_files, write_formatted


@click.command("fmt")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--of-projects", is_flag=True, help="Skip FILES that belong to no project, for use in hooks.")
@click.option("--diff", is_flag=True, help="Write nothing; show the changes.")
@json_option
@click.pass_obj
def command(app: App, /, files: tuple[Path, ...], check: bool, of_projects: bool, diff: bool) -> None:
    """Format YAML files. Spacing and quoting change; comments, order and meaning stay.

    Formats FILES, or all files of the project. In a directory among FILES, the .yaml and .yml files of projects are
    formatted, except hidden ones.
    """
    given = files_in(files) if files else _of_project(app)
    changed, problems = format_files(_read_by_projects(app, given) if of_projects else given, app.sources)
    if not check and not diff:
        write_formatted(changed)
    app.report(problems)
    if changed or app.json or not problems.error_count:
        text = "".join(_lines(changed, check=check, diff=diff))
        app.show(text or "All files are formatted.", {"changed": list(changed)})
    if problems.error_count:
        raise click.exceptions.Exit(ExitCode.CONFIGURATION)
    if check and changed:
        raise click.exceptions.Exit(ExitCode.ERROR)


def _of_project(app: App) -> list[Path]:
    """All files that the project reads, invalid ones included."""
    try:
        app.project()
    except DiagnosticError:
        if not app.sources:
            raise
    return [Path(name) for name in app.sources]


def _read_by_projects(app: App, files: list[Path]) -> list[Path]:
    """The files that belong to a project in a parent directory."""
    read = {path for directory in project_directories(files) for path in _read_by(app.at(directory))}
    return [path for path in files if real_path(path) in read]


def _read_by(app: App) -> set[Path]:
    """The files that a project reads, including those of all its environments, as far as it can be loaded."""
    app.sources.clear()
    names: set[Path] = set()
    with suppress(DiagnosticError):
        environments = app.project().loaded.project.environments.values()
        names = {app.directory / name for chosen in environments for name in chosen.variables}
    return {real_path(path) for path in (*names, *map(Path, app.sources))}


def _lines(changed: dict[str, tuple[str, str]], *, check: bool, diff: bool) -> list[str]:
    if not diff:
        return [f"{'would change' if check else 'wrote'} {name}\n" for name in changed]
    return [
        line if line.endswith("\n") else f"{line}\n"
        for name, (text, tidy) in changed.items()
        for line in difflib.unified_diff(text.splitlines(True), tidy.splitlines(True), name, name)
    ]
