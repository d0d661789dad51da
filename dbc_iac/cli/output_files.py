"""Output files of a command: checked before anything is done; they never overwrite a file of the project."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity
from dbc_iac.files.outputs import refuse_link_out, writing
from dbc_iac.files.reading import real_path
from dbc_iac.files.writing import check_writable, write_whole
from dbc_iac.kinds import MODELS
from dbc_iac.manifest.header import DEFAULT_STACK
from dbc_iac.manifest.load import LoadedProject, load_project
from dbc_iac.manifest.project import FILE
from dbc_iac.state.backends.local import LocalBackend

_PROJECT_SUFFIXES = {".yaml", ".yml", ".json", ".jsonl", ".lock"}
"""Suffixes of existing files that are not overwritten if the project cannot be loaded."""


def check_outputs(
    app: App,
    outputs: Mapping[str, Path],
    loaded: LoadedProject | None,
    inputs: Iterable[Path | None] = (),
) -> None:
    """Refuse output files that cannot be written, or that are inputs. Raises DiagnosticError.

    `outputs`: paths by option. `loaded`: the project; None if it cannot be loaded. `inputs`: other files that the
    command reads.
    """
    protected = _Protected(app, loaded, inputs)
    found = Diagnostics()
    taken: dict[Path, str] = {}
    for option, path in outputs.items():
        try:
            with writing():
                if _is_stream(path):
                    continue
                refuse_link_out(path, app.directory)
                check_writable(path)
                real = real_path(path)
                what = protected.over(path, parts=option == "--markdown")
            if what:
                found.add(_over(option, path, what))
            elif real in taken:
                found.add(_over(option, path, f"the output of {taken[real]}"))
            taken[real] = option
        except DiagnosticError as error:
            found.extend(error.diagnostics)
    found.raise_errors()


def load_files(app: App) -> LoadedProject:
    """The files of the project, also with problems in manifests. Raises DiagnosticError for the project file."""
    return load_project(
        app.directory,
        environment=app.environment,
        variables=app.variables,
        variable_files=app.variable_files,
        environ=app.runtime.environ,
        models=MODELS,
        sources=app.sources,
    )


def loaded_quietly(app: App) -> LoadedProject | None:
    """The project's files, for commands that need none; None if they are invalid."""
    with suppress(DiagnosticError):
        return load_files(app)
    return None


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/stdout, where nothing is overwritten."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class _Protected:
    """Files that must not be overwritten."""

    def __init__(self, app: App, loaded: LoadedProject | None, inputs: Iterable[Path | None]) -> None:
        self._known = loaded is not None
        self._state: LocalBackend | None = None
        if loaded is not None and loaded.project.state.backend == "local":
            self._state = LocalBackend(app.directory / loaded.project.state.path, app.stack or DEFAULT_STACK)
        named = {
            **_of_project(app, loaded),
            **{path: "an input of this command" for path in inputs if path is not None},
        }
        self._files: dict[object, str] = {}
        for path, what in named.items():
            with suppress(OSError):  # an impossible name
                self._files.update(dict.fromkeys(_keys(path), what))

    def over(self, path: Path, *, parts: bool) -> str:
        """The protected file that a path would overwrite; empty without one. `parts`: also `NAME-2` and so on."""
        return next(filter(None, map(self._over, (path, *(_parts(path) if parts else ())))), "")

    def _over(self, path: Path) -> str:
        real = real_path(path)
        if what := next((self._files[key] for key in _keys(path) if key in self._files), ""):
            return what
        if self._state is not None and self._state.keeps(real):
            return "a file of the state"
        if re.fullmatch(r"errored\..*\.state\.json", real.name) and real.exists():
            return "the errored state of an apply"
        return "a file of the project" if not self._known and path.suffix in _PROJECT_SUFFIXES and path.exists() else ""


def _keys(path: Path) -> list[object]:
    """The identities of a file: its path after all links, and its inode."""
    real = real_path(path)
    try:
        status = real.stat()
    except OSError:
        return [real]
    return [real, (status.st_dev, status.st_ino)]


def _of_project(app: App, loaded: LoadedProject | None) -> dict[Path, str]:
    """The files of a project, as far as they are known."""
    files = {Path(name): "a file of the project" for name in app.sources}
    if loaded is not None:
        chosen = loaded.project.environments.values()
        files |= {app.directory / name: "a file of variables" for one in chosen for name in one.variables}
        specs = (loaded.project, *(resource.spec for resource in loaded.resources))
        files |= {app.directory / name: "a file with a secret" for spec in specs for name in _secret_files(spec)}
    return {**files, app.directory / FILE: "the project file"}


def _secret_files(part: Any) -> Iterator[str]:
    """The files of secrets, keystores and signatures in a model."""
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            value = getattr(part, name)
            if name == "file" and isinstance(value, str):
                yield value
            else:
                yield from _secret_files(value)
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _secret_files(value)
    elif isinstance(part, tuple | list):
        for value in part:
            yield from _secret_files(value)


def _parts(path: Path) -> list[Path]:
    """Existing files that later parts of a long plan would be written to."""
    name = re.compile(rf"{re.escape(path.stem)}-[0-9]+{re.escape(path.suffix)}")
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name)]


def _over(option: str, path: Path, what: str) -> Diagnostic:
    summary = f"{option} would overwrite {path}"
    detail = f"{path} is {what}."
    return Diagnostic("output-over-input", Severity.ERROR, summary, detail, f"Use another file for {option}.")


def write_output(file: Path, text: str | Iterable[str]) -> None:
    """Write a file that an option names. `text`: whole, or in pieces. Raises DiagnosticError."""
    pieces = [text] if isinstance(text, str) else text
    with writing():
        write_whole(file, (piece.encode("utf-8", "replace") for piece in pieces))
