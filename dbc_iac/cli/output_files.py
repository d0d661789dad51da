"""Files that a command is asked to write: checked before anything is done, and never over what a project is made of."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from dbc_iac.cli.app import App, writing
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity
from dbc_iac.files.reading import leads_out, real_path
from dbc_iac.files.writing import check_creatable, check_writable, write_new
from dbc_iac.state.backends.local import LocalBackend

if TYPE_CHECKING:
    from dbc_iac.manifest.load import LoadedProject

_OPTIONS = {"file": "-o", "output": "-o"}
"""Parameters whose option is not their name."""
_OUTPUTS = ("file", "output", "markdown", "html", "events", "report")
_OF_PROJECTS = {".yaml", ".yml", ".json", ".jsonl", ".lock"}
"""Names of files that a project may be made of, where it cannot be loaded to ask it."""


def check_outputs(
    app: App, chosen: Mapping[str, object], loaded: LoadedProject | None, inputs: Iterable[Path | None] = ()
) -> None:
    """Refuse output files that cannot be written, or that something is read from. Raises DiagnosticError.

    `chosen`: parameters by name, others than outputs too. `loaded`: the project; None where it cannot be loaded.
    `inputs`: other files that the command reads.
    """
    outputs = _outputs(chosen)
    if not outputs:
        return
    kept = _Kept(app, loaded, inputs)
    found = Diagnostics()
    taken: dict[Path, str] = {}
    for option, path in outputs.items():
        try:
            with writing():
                if _is_stream(path):
                    continue
                refuse_link_out(app, path)
                check_writable(path)
                real = real_path(path)
            if what := kept.over(path, parts=option == "--markdown"):
                found.add(_over(option, path, what))
            elif real in taken:
                found.add(_over(option, path, f"the output of {taken[real]}"))
            taken[real] = option
        except DiagnosticError as error:
            found.extend(error.diagnostics)
    found.raise_errors()


def loaded_quietly(app: App) -> LoadedProject | None:
    """The project as its files say, for commands that need none; None where they are wrong."""
    from dbc_iac.cli.workspace import load_files

    with suppress(DiagnosticError):
        return load_files(app)
    return None


def check_folder(app: App, folder: Path) -> None:
    """Refuse a folder for new files that cannot be made or written to. Raises DiagnosticError."""
    refuse_link_out(app, folder)
    with writing():
        check_creatable(folder)


def write_new_files(app: App, files: Mapping[Path, str]) -> None:
    """Write files that are not there yet: all of them or none. Raises DiagnosticError."""
    written: list[Path] = []
    try:
        for path, text in files.items():
            refuse_link_out(app, path)
            with writing():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_new(path, text.encode(), 0o666)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def refuse_link_out(app: App, path: Path) -> None:
    """Refuse a path in the project that leads out of it by a link. Raises DiagnosticError."""
    if leads_out(path, app.directory):
        summary = f"{path} leads out of the project by a link"
        remedy = "Remove the link, or name the file that it leads to."
        raise DiagnosticError(Diagnostic("outside-project", Severity.ERROR, summary, remedy=remedy))


def _outputs(chosen: Mapping[str, object]) -> dict[str, Path]:
    """The files that are to be written, by option."""
    given = {name: chosen.get(name) for name in _OUTPUTS}
    return {
        _OPTIONS.get(name, f"--{name}"): Path(value)
        for name, value in given.items()
        if isinstance(value, Path) or (isinstance(value, str) and value != "-")
    }


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/stdout: nothing is lost there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class _Kept:
    """Files that an output must not overwrite."""

    def __init__(self, app: App, loaded: LoadedProject | None, inputs: Iterable[Path | None]) -> None:
        self._known = loaded is not None
        self._state: LocalBackend | None = None
        if loaded is not None and loaded.project.state.backend == "local":
            self._state = LocalBackend(app.directory / loaded.project.state.path, app.stack)
        named = {
            **_of_project(app, loaded),
            **{path: "an input of this command" for path in inputs if path is not None},
        }
        self._files: dict[object, str] = {}
        for path, what in named.items():
            with suppress(OSError):  # a name that no file can have
                self._files.update(dict.fromkeys(_keys(path), what))

    def over(self, path: Path, *, parts: bool) -> str:
        """A description of the file that an output would overwrite; empty if none. `parts`: also `NAME-2` and so on."""
        return next(filter(None, map(self._over, (path, *(_parts(path) if parts else ())))), "")

    def _over(self, path: Path) -> str:
        real = real_path(path)
        if what := next((self._files[key] for key in _keys(path) if key in self._files), ""):
            return what
        if self._state is not None and self._state.keeps(real):
            return "a file of the state"
        if re.fullmatch(r"errored\..*\.state\.json", real.name) and real.exists():
            return "what an apply could not write to its state"
        return "a file of the project" if not self._known and path.suffix in _OF_PROJECTS and path.exists() else ""


def _keys(path: Path) -> list[object]:
    """Identities of a file: its path after all links, and its device and inode, which hard links share."""
    real = real_path(path)
    try:
        status = real.stat()
    except OSError:
        return [real]
    return [real, (status.st_dev, status.st_ino)]


def _of_project(app: App, loaded: LoadedProject | None) -> dict[Path, str]:
    """The files of a project, as far as they are known, with a description."""
    from dbc_iac.manifest.project import FILE

    files = {Path(name): "a file of the project" for name in app.sources}
    if loaded is not None:
        chosen = loaded.project.environments.values()
        files |= {app.directory / name: "a file of variables" for one in chosen for name in one.variables}
        specs = (loaded.project, *(resource.spec for resource in loaded.resources))
        files |= {app.directory / name: "a file with a secret" for spec in specs for name in _secret_files(spec)}
    return {**files, app.directory / FILE: "the project file"}


def _secret_files(part: Any) -> Iterator[str]:
    """The files that a model names for secrets, keystores and signatures."""
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
    """Files that later parts of a long plan would be written to, as far as they are there."""
    name = re.compile(rf"{re.escape(path.stem)}-[0-9]+{re.escape(path.suffix)}")
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name)]


def _over(option: str, path: Path, what: str) -> Diagnostic:
    summary = f"{option} {path} would overwrite {what}"
    return Diagnostic("output-over-input", Severity.ERROR, summary, remedy=f"Give {option} another file.")
