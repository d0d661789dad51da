"""New projects: project file, first VM, emulated world, schemas for editors, git-ignore rules, and a CI pipeline."""

from __future__ import annotations

import os
import secrets as random
from pathlib import Path

from dbc_iac.api.auth.keys import Sr25519Key
from dbc_iac.diagnostics import failure
from dbc_iac.files.outputs import write_new_files, writing
from dbc_iac.files.reading import read_inside, real_path
from dbc_iac.files.writing import write_whole
from dbc_iac.manifest.header import NAME, NAME_EXPECTED, close_name
from dbc_iac.manifest.project import FILE
from dbc_iac.manifest.scaffold import SEED, scaffold
from dbc_iac.operations.pipelines import pipeline_for
from dbc_iac.operations.schemas import contracts
from dbc_iac.secret import SecretText

_SCHEMAS = ("project.schema.json", "manifest.schema.json")


def write_project(directory: Path, name: str, ci: str | None) -> dict[str, str]:
    """Write a new project into a directory; with `ci`, its pipeline too, or only that where there is a project.

    Returns the texts by path. Raises DiagnosticError, and writes nothing, where a file exists or the name is invalid.
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
        if ci is not None:
            made = pipeline_for(ci, directory, files)
            files = made if (directory / FILE).exists() else {**files, **made}
        _write(directory, files)
    return files


def _write(directory: Path, files: dict[str, str]) -> None:
    ignore = directory / ".gitignore"
    rules = os.path.lexists(ignore)
    if ".gitignore" in files and rules:  # existing rules are kept; these are added
        files[".gitignore"] = f"{read_inside(ignore, directory).decode().rstrip()}\n\n{files['.gitignore']}"
    existing = [p for p in files if p != ".gitignore" and os.path.lexists(directory / p)]
    if existing:
        summary = f"{existing[0]} already exists" if len(existing) == 1 else f"{len(existing)} files already exist"
        detail = "" if len(existing) == 1 else f"They are {', '.join(existing)}."
        remedy = "Use -C with an empty directory, or remove the existing files."
        raise failure("project-exists", summary, detail, remedy)
    new = {directory / p: text for p, text in files.items() if p != ".gitignore" or not rules}
    write_new_files(new, directory, {directory / SEED})
    if rules and ".gitignore" in files:
        write_whole(ignore, files[".gitignore"].encode())
