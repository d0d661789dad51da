"""New projects: project file, first VM, emulated world, schemas for editors, git-ignore rules, and a CI pipeline."""

from __future__ import annotations

import os
import secrets as random
from pathlib import Path

from dbc_iac.api.auth.keys import Sr25519Key
from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.files.outputs import write_new_files, writing
from dbc_iac.files.reading import read_inside, real_path
from dbc_iac.files.writing import write_whole
from dbc_iac.manifest.header import NAME, NAME_EXPECTED, close_name
from dbc_iac.manifest.project import FILE
from dbc_iac.manifest.scaffold import SEED, scaffold
from dbc_iac.operations.pipelines import pipeline_for, rewritten
from dbc_iac.operations.schemas import contracts
from dbc_iac.secret import SecretText

_SCHEMAS = ("project.schema.json", "manifest.schema.json")


def write_project(directory: Path, name: str, ci: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Write a new project into a directory; with `ci`, its pipeline too, or only that where there is a project.

    Returns the texts of new and of updated files by path: a pipeline is written again. Raises DiagnosticError, and
    writes nothing, where another file exists or the name is invalid.
    """
    if name and not NAME.fullmatch(name):
        remedy = f"Use --name {close_name(name) or 'project'}."
        raise failure("invalid-name", f"--name: {NAME_EXPECTED}", remedy=remedy)
    default = close_name(real_path(directory).name)
    published = contracts()
    seed, node = random.token_hex(32), random.token_hex(32)
    address = Sr25519Key.from_seed(SecretText(seed)).address
    files = {
        **scaffold(name or default or "project", random.token_hex(16), node, seed, address, ci=ci is not None),
        **{f"specs/{schema}": published[schema] for schema in _SCHEMAS},
    }
    with writing():
        made = pipeline_for(ci, directory, files) if ci is not None else {}
        own = {} if ci is not None and (directory / FILE).exists() else files
        return _write(directory, own, made)


def _write(directory: Path, own: dict[str, str], made: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Write the files of a project, and those of a pipeline, which replace unedited ones."""
    ignore = directory / ".gitignore"
    rules = os.path.lexists(ignore)
    if ".gitignore" in own and rules:  # existing rules are kept; these are added
        own[".gitignore"] = f"{read_inside(ignore, directory).decode().rstrip()}\n\n{own['.gitignore']}"
    there = {p for p in own | made if p != ".gitignore" and os.path.lexists(directory / p)}
    before = {p: read_inside(directory / p, directory).decode("utf-8", "replace") for p in made if p in there}
    again = {p: rewritten(text, made[p]) for p, text in before.items()}
    if existing := [p for p in own | made if p in there and again.get(p) is None]:
        raise _existing(existing, whole=bool(own))
    new = {p: text for p, text in (own | made).items() if p not in there and (p != ".gitignore" or not rules)}
    write_new_files({directory / p: text for p, text in new.items()}, directory, {directory / SEED})
    updated = {p: text for p, text in again.items() if text is not None and text != before[p]}
    if rules and ".gitignore" in own:
        updated[".gitignore"] = own[".gitignore"]
    for path, text in updated.items():
        write_whole(directory / path, text.encode())
    return new, updated


def _existing(paths: list[str], *, whole: bool) -> DiagnosticError:
    """The refusal to overwrite files. `whole`: with those of a new project."""
    summary = f"{paths[0]} already exists" if len(paths) == 1 else f"{len(paths)} files already exist"
    detail = "" if len(paths) == 1 else f"They are {', '.join(paths)}."
    if whole:
        return failure(
            "project-exists", summary, detail, "Use -C with an empty directory, or remove the existing files."
        )
    detail = f"{detail} `init --ci` replaces only files that it has written and nobody has edited.".strip()
    return failure("project-exists", summary, detail, "Remove them, run the command again, and repeat your edits.")
