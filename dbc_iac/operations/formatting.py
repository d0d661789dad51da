"""Formatting of manifests: spacing and quoting; comments, order and meaning stay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import file_problem, read_inside
from dbc_iac.files.writing import write_whole
from dbc_iac.manifest.format import formatted
from dbc_iac.manifest.yaml import MAX_BYTES
from dbc_iac.operations.discovery import project_directory


def format_files(paths: Iterable[Path], sources: dict[str, str]) -> tuple[dict[str, tuple[str, str]], Diagnostics]:
    """The text of each file that is not formatted, before and after; and problems. Writes nothing.

    `sources` receives the texts that were read, for excerpts of diagnostics.
    """
    problems = Diagnostics()
    changed: dict[str, tuple[str, str]] = {}
    for path in paths:
        try:
            text = read_inside(path, _root_of(path), MAX_BYTES).decode("utf-8")
            sources[str(path)] = text
            tidy = formatted(text, str(path))
        except DiagnosticError as error:
            problems.extend(error.diagnostics)
            continue
        except OSError as error:
            problems.add(file_problem(path, error))
            continue
        except UnicodeDecodeError:
            summary = f"cannot read {path} (it is not UTF-8)"
            problems.add(Diagnostic("unreadable-file", Severity.ERROR, summary, remedy="Save it as UTF-8."))
            continue
        if tidy != text:
            changed[str(path)] = (text, tidy)
    return changed, problems


def write_formatted(changed: Mapping[str, tuple[str, str]]) -> None:
    """Write the formatted texts. Raises DiagnosticError."""
    for name, (_, tidy) in changed.items():
        with writing():
            write_whole(Path(name), tidy.encode())


def _root_of(file: Path) -> Path:
    """The directory that a link must not lead out of: that of the file's project, else its own."""
    return _project_of(file) or Path(os.path.abspath(file)).parent  # noqa: PTH100 - a link is not followed


def _project_of(file: Path) -> Path | None:
    """The directory of the project that a file lies in; None outside of all projects."""
    return project_directory(Path(os.path.abspath(file)))  # noqa: PTH100 - a link is not followed


def files_in(paths: Iterable[Path]) -> list[Path]:
    """The files among paths, and in the directories among them the .yaml and .yml files that lie in a project.

    Hidden files, and files of a project's hidden directories, are left out.
    """
    return [found for path in paths for found in (_inside(path) if _is_directory(path) else (path,))]


def _is_directory(path: Path) -> bool:
    """Whether a path is a directory. False for an impossible name, whose reading then reports the reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _inside(directory: Path) -> list[Path]:
    try:
        found = [p for p in sorted(directory.rglob("*")) if p.suffix in {".yaml", ".yml"} and p.is_file()]
    except OSError as error:  # such as a directory that goes away meanwhile
        raise DiagnosticError(file_problem(directory, error)) from None
    shown = (p for p in found if not any(part.startswith(".") for part in p.relative_to(directory).parts))
    return [p for p in shown if _project_of(p) is not None]  # other tools have YAML files, too
