"""New files of a project, written all or none; a path that cannot be written is a diagnostic."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dbc_iac.diagnostics import failure
from dbc_iac.files.reading import leads_out
from dbc_iac.files.writing import OWNER_ONLY, check_creatable, write_new


@contextmanager
def writing() -> Iterator[None]:
    """Turn an OSError of a file that the user named into a DiagnosticError."""
    try:
        yield
    except OSError as error:
        summary = f"cannot write {error.filename or 'the file'} ({error.strerror})"
        remedy = "Choose another path, or change its permissions."
        raise failure("unwritable-file", summary, remedy=remedy) from None


def check_folder(folder: Path, root: Path) -> None:
    """Refuse a folder that cannot be created or written to. Raises DiagnosticError."""
    refuse_link_out(folder, root)
    with writing():
        check_creatable(folder)


def write_new_files(files: Mapping[Path, str], root: Path, private: Collection[Path] = ()) -> None:
    """Write files that do not exist yet into the project `root`: all of them or none. Raises DiagnosticError.

    `private`: files that only their owner can read.
    """
    written: list[Path] = []
    try:
        for path, text in files.items():
            refuse_link_out(path, root)
            with writing():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_new(path, text.encode(), OWNER_ONLY if path in private else 0o666)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def refuse_link_out(path: Path, root: Path) -> None:
    """Refuse a path in the project `root` that a link leads out of it. Raises DiagnosticError."""
    if leads_out(path, root):
        summary = f"a link leads {path} out of the project"
        remedy = "Remove the link, or name the file that it leads to."
        raise failure("outside-project", summary, remedy=remedy)
