"""`fmt`: files of a project in one way of writing; also the pre-commit hook."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path

import click

from dbc_iac.cli.app import App, Exit, writing
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.files.reading import file_problem, read_inside, real_path
from dbc_iac.files.writing import write_whole


@click.command("fmt")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where a file would change.")
@click.option("--of-projects", is_flag=True, help="Pass over FILES that no project above them is read from: for hooks.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@json_option
@click.pass_obj
def command(app: App, /, files: tuple[Path, ...], check: bool, of_projects: bool, diff: bool, as_json: bool) -> None:
    """Tidy spacing and quoting of FILES, or of all files of the project. Comments, order and meaning stay.

    Of a directory among FILES all .yaml and .yml files are taken, but those that are hidden.
    """
    from dbc_iac.manifest.format import formatted
    from dbc_iac.manifest.yaml import MOST_BYTES

    app.json = as_json
    problems = Diagnostics()
    changed: dict[str, tuple[str, str]] = {}
    given = _in(files) if files else _of_project(app)
    for path in _owned(app, given) if of_projects else given:
        try:
            text = read_inside(path, _root_of(path), MOST_BYTES).decode("utf-8")
            app.sources[str(path)] = text
            tidy = formatted(text, str(path))
        except DiagnosticError as error:
            problems.extend(error.diagnostics)
            continue
        except OSError as error:
            problems.add(file_problem(path, error))
            continue
        except UnicodeDecodeError:
            summary = f"{path} cannot be read (it is not UTF-8)"
            problems.add(Diagnostic("unreadable-file", Severity.ERROR, summary, remedy="Save it as UTF-8."))
            continue
        if tidy != text:
            changed[str(path)] = (text, tidy)
    if not check and not diff:
        for name, (_, tidy) in changed.items():
            with writing():
                write_whole(Path(name), tidy.encode())
    app.report(problems)
    if changed or app.json or not problems.errors:
        app.show("".join(_told(changed, check=check, diff=diff)) or "All files are tidy.", {"changed": list(changed)})
    if problems.errors:
        raise Exit(ExitCode.CONFIGURATION)
    if check and changed:
        raise Exit(ExitCode.ERROR)


def _root_of(file: Path) -> Path:
    """The directory that a link in the place of a file must not lead out of: of its project, else its own."""
    from dbc_iac.manifest.project import FILE

    written = Path(os.path.abspath(file))  # noqa: PTH100 - a link is not followed
    return next((p for p in written.parents if (p / FILE).is_file()), written.parent)


def _in(files: tuple[Path, ...]) -> list[Path]:
    """The files that are meant: those named, and those in directories."""
    return [found for path in files for found in (_inside(path) if _is_directory(path) else (path,))]


def _is_directory(path: Path) -> bool:
    """Whether it is one; of a name that no file can have, the reading says why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _owned(app: App, files: list[Path]) -> list[Path]:
    from dbc_iac.cli.project_discovery import projects_of, read_by

    ours = {path for project in projects_of(app, files) for path in read_by(project)}
    return [path for path in files if real_path(path) in ours]


def _inside(directory: Path) -> list[Path]:
    found = (p for p in sorted(directory.rglob("*")) if p.suffix in {".yaml", ".yml"} and p.is_file())
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(directory).parts)]


def _of_project(app: App) -> list[Path]:
    """Every file that a project is read from, also where what stands in them is wrong."""
    from dbc_iac.cli.workspace import Workspace

    with suppress(DiagnosticError):
        Workspace.load(app)
    if not app.sources:
        Workspace.load(app)  # tells why
    return [Path(name) for name in app.sources]


def _told(changed: dict[str, tuple[str, str]], *, check: bool, diff: bool) -> list[str]:
    if not diff:
        return [f"{'would change' if check else 'wrote'} {name}\n" for name in changed]
    return [
        line if line.endswith("\n") else f"{line}\n"
        for name, (text, tidy) in changed.items()
        for line in difflib.unified_diff(text.splitlines(True), tidy.splitlines(True), name, name)
    ]
