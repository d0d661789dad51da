"""Commands on the files of a project, which need no credentials and no network: init, validate, schema."""

from __future__ import annotations

import os
import re
import secrets as random
from pathlib import Path

import click

from dbc_iac.cli.app import App, Exit, writing
from dbc_iac.cli.options import json_option
from dbc_iac.cli.output_files import refuse_link_out, write_new_files
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.reading import read_inside
from dbc_iac.files.writing import write_whole


@click.command()
@click.option("--name", default="", help="Name of the project; default: the directory's.")
@click.option("--ci", type=click.Choice(["github", "gitlab"]), help="Write its pipeline, too, or only that, later.")
@json_option
@click.pass_obj
def init(app: App, name: str, ci: str | None, as_json: bool) -> None:
    """Write a new project: project file, an example manifest, git-ignore rules."""
    app.json = as_json
    with writing():
        written = _write_project(app, name, ci)
    told = [*(f"wrote {p}" for p in sorted(written)), "Next: edit the files, then `dbc-iac validate`."]
    if ci is not None:
        from dbc_iac.cli.pipelines import to_do

        told += to_do(written, app.directory, shared=not _forgets(app))
    app.show("\n".join(told), sorted(written))


def _write_project(app: App, name: str, ci: str | None) -> dict[str, str]:
    """Write a new project into the directory, and its pipeline; where there is a project, the pipeline alone. Raises
    DiagnosticError where a file is there already. Path -> text of what was written."""
    from dbc_iac.cli.pipelines import pipeline_for
    from dbc_iac.cli.schemas import contracts
    from dbc_iac.manifest.project import FILE
    from dbc_iac.manifest.scaffold import scaffold

    own = re.sub(r"[^a-z0-9-]+", "-", app.directory.resolve().name.lower()).strip("-")[:42].strip("-")
    schemas = {
        f"specs/{n}": text for n, text in contracts().items() if n in {"project.schema.json", "manifest.schema.json"}
    }
    files = {**scaffold(name or own or "project", random.token_hex(16)), **schemas}
    if ci is not None:
        made = pipeline_for(ci, app.directory)
        files = made if (app.directory / FILE).exists() else {**files, **made}
    ignore = app.directory / ".gitignore"
    rules = os.path.lexists(ignore)
    if ".gitignore" in files and rules:  # a git repository has one: its rules stay, ours are added
        files[".gitignore"] = f"{read_inside(ignore, app.directory).decode().rstrip()}\n\n{files['.gitignore']}"
    present = [p for p in files if p != ".gitignore" and os.path.lexists(app.directory / p)]
    if present:
        raise DiagnosticError(
            Diagnostic(
                "project-exists",
                Severity.ERROR,
                f"{', '.join(present)} is there already",
                remedy="Choose an empty directory with -C, or remove it.",
            )
        )
    write_new_files(app, {app.directory / p: text for p, text in files.items() if p != ".gitignore" or not rules})
    if rules and ".gitignore" in files:
        write_whole(ignore, files[".gitignore"].encode())
    return files


def _forgets(app: App) -> bool:
    """Whether a runner would forget the project's state; True where the project cannot be read."""
    from dbc_iac.cli.pipelines import forgotten
    from dbc_iac.cli.workspace import Workspace

    try:
        return any(forgotten(Workspace.load(app).loaded.project.state, {"CI": "true"}))
    except DiagnosticError:
        return True


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def validate(app: App, /, files: tuple[Path, ...], as_json: bool) -> None:
    """Check the manifests. Needs no credentials and no network.

    With FILES, check each project that one of them lies in: what hooks call.
    """
    from dbc_iac.cli.project_discovery import projects_of

    app.json = as_json
    checked = [_checked(project) for project in (projects_of(app, files) if files else [app])]
    problems = [d for _, found in checked for d in found]
    app.report(problems)
    if errors := [d.exit_code for d in problems if d.severity is Severity.ERROR]:
        raise Exit(max(errors))
    count = sum(number for number, _ in checked)
    told = "1 document is valid." if count == 1 else f"{count} documents are valid."
    app.show(told if checked else "None of the files lies in a project.", {"valid": True, "documents": count})


def _checked(app: App) -> tuple[int, tuple[Diagnostic, ...]]:
    """How many documents a project has, and its problems. No secret is known yet that would have to be taken out."""
    from dbc_iac.cli.workspace import Workspace

    try:
        workspace = Workspace.load(app)
    except DiagnosticError as error:
        return 0, error.diagnostics
    return len(workspace.inventory.resources), tuple(workspace.check())


@click.command()
@click.option(
    "--output", default="specs", type=click.Path(path_type=Path, file_okay=False), help="Where to write them."
)
@click.option("--docs", type=click.Path(path_type=Path, file_okay=False), help="Write the reference pages here too.")
@click.option("--check", is_flag=True, help="Write nothing; fail where a file differs.")
@json_option
@click.pass_context
def schema(context: click.Context, /, output: Path, docs: Path | None, check: bool, as_json: bool) -> None:
    """Write the JSON Schemas of manifests, which make editors complete and check."""
    from dbc_iac.cli.reference import pages
    from dbc_iac.cli.schemas import contracts

    app = context.find_object(App)
    assert app is not None  # noqa: S101 - every command has one
    app.json = as_json
    stale: list[str] = []
    files = {output / n: t for n, t in contracts().items()}
    if docs is not None:
        files.update({docs / n: t for n, t in pages(context.find_root().command).items()})
    for name, text in sorted(files.items()):
        path = app.directory / name
        with writing():
            if path.exists() and path.read_bytes() == text.encode():
                continue
        stale.append(str(path))
        if not check:
            refuse_link_out(app, path)
            with writing():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text.encode())
    verb = "differs" if check else "wrote"
    app.show("\n".join(f"{verb} {p}" for p in stale) or "All schemas are up to date.", stale)
    if check and stale:
        raise Exit(ExitCode.ERROR)


COMMANDS = (init, validate, schema)
