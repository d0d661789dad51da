"""Secrets in manifests: always a reference, never a value; resolved late, and never shown.

{env: DBC_WALLET_SEED}     an environment variable
{file: ./secrets/key}      a file, relative to the project
{exec: [pass, show, x]}    what a program prints; no shell

Of what is read from a file or a program, a byte order mark and one line end at the end are no part of the secret.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from dbc_iac.api.http import HEADER_VALUE
from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, SourceRange
from dbc_iac.files.reading import read_file
from dbc_iac.manifest.program_environment import program_environment
from dbc_iac.manifest.trust import refuse_untrusted
from dbc_iac.manifest.validators import Form, SecretForm, wrong

LITERAL = "literal_secret"
"""Type of the pydantic error where a value stands in the place of a reference."""
IN_A_HEADER = SecretForm(
    HEADER_VALUE, "printable ASCII characters, without spaces or line breaks around them", "Take out all others.", 65536
)
AS_PASSWORD = SecretForm(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*", "UTF-8 without control characters", "Take them out.")
MOST_OF_A_SECRET = 1024 * 1024
"""Bytes of a secret file."""
EXEC_SECONDS = 30.0
"""How long a program may take to print a secret."""


EnvironmentName = Annotated[
    str,
    Form(r"[A-Za-z_][A-Za-z0-9_.-]*", "the name of an environment variable", "Write a name, such as DBC_WALLET_SEED."),
]


class SecretRef(BaseModel):
    """Where a secret is: exactly one of `env`, `file` and `exec`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    env: EnvironmentName | None = Field(default=None, description="name of an environment variable")
    file: str | None = Field(default=None, description="path of a file, relative to the project", min_length=1)
    command: tuple[str, ...] | None = Field(
        default=None, alias="exec", description="program and arguments that print it", min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: Any) -> Any:
        unknown = isinstance(value, Mapping) and not set(value) <= {"env", "file", "exec"}
        if isinstance(value, str | int | float) or unknown:
            raise PydanticCustomError(
                LITERAL, "a secret must not stand in a manifest: write {{env: NAME}}, {{file: PATH}} or {{exec: [..]}}"
            )
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(v is not None for v in (self.env, self.file, self.command)) != 1:
            raise wrong("expected exactly one of env, file and exec", "Leave one of them, such as {env: NAME}.")
        return self

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        if self.command is not None:
            return {"exec": list(self.command)}
        return {"env": self.env} if self.env is not None else {"file": self.file}

    def __str__(self) -> str:
        """Where the secret is, for people."""
        if self.command is not None:
            return f"exec {self.command[0]}"
        return f"environment variable {self.env}" if self.env is not None else f"file {self.file}"


Places = Mapping[SecretRef, tuple[str, SourceRange | None]]
"""Where references stand: the field, and its place in a file."""


def secret_places(part: Any, where: Callable[[str], SourceRange | None], path: str = "") -> Places:
    """The references that a model holds, with the places that `where` gives for their paths."""
    if isinstance(part, SecretRef):
        return {part: (path, where(path))}
    inner: Iterable[tuple[object, Any]] = ()
    if isinstance(part, BaseModel):
        inner = ((f.alias or name, getattr(part, name)) for name, f in type(part).model_fields.items())
    elif isinstance(part, Mapping):
        inner = part.items()
    elif isinstance(part, tuple):
        inner = enumerate(part)
    found: dict[SecretRef, tuple[str, SourceRange | None]] = {}
    for key, value in inner:
        found.update(secret_places(value, where, f"{path}.{key}" if path else str(key)))
    return found


class SecretResolver:
    """Resolves references once each. `base` is what relative file names are relative to.

    `places`: of references that stand in the project file, to say where one is that cannot be resolved.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        base: Path,
        exec_seconds: float = EXEC_SECONDS,
        places: Places | None = None,
    ) -> None:
        self._environ = environ
        self._places = places or {}
        self._base = base
        self._exec_seconds = exec_seconds
        self._known: dict[SecretRef, SecretText] = {}

    def fitting(self, ref: SecretRef, form: SecretForm) -> SecretText:
        """The secret, where it has the form of what it is sent as. Raises DiagnosticError as `resolve` does."""
        value = self.resolve(ref)
        if not form.fits(value.reveal()):
            unfit = f"what {ref} holds cannot be used"
            expected = f"Expected are {form.words}."
            raise DiagnosticError(
                self._placed(ref, Diagnostic("unsafe-secret", Severity.ERROR, unfit, expected, form.remedy))
            )
        return value

    def resolve(self, ref: SecretRef) -> SecretText:
        """The secret. Raises DiagnosticError that names the place, never a value."""
        if ref not in self._known:
            try:
                self._known[ref] = SecretText(self._read(ref))
            except DiagnosticError as error:
                raise DiagnosticError(*(self._placed(ref, told) for told in error.diagnostics)) from None
        return self._known[ref]

    def _placed(self, ref: SecretRef, told: Diagnostic) -> Diagnostic:
        path, source = self._places.get(ref, ("", None))
        return replace(told, summary=f"{path}: {told.summary}", source=source) if path else told

    def known(self) -> tuple[SecretText, ...]:
        """All that have been read so far."""
        return tuple(self._known.values())

    def _read(self, ref: SecretRef) -> str:
        refuse_untrusted(self._environ, f"read the {ref}" if ref.command is None else f"run {ref.command[0]}")
        if ref.env is not None:
            if ref.env not in self._environ:
                raise _missing(f"environment variable {ref.env} is not set", f"Set {ref.env}.")
            if not self._environ[ref.env]:  # what CI gives for a secret that it withholds
                raise _missing(f"environment variable {ref.env} is empty", f"Set {ref.env}.")
            return self._environ[ref.env]
        if ref.file is not None:
            return read_secret(self._base / ref.file, ref.file)
        assert ref.command is not None  # noqa: S101 - one of the three is set
        return self._printed(ref.command)

    def _printed(self, command: tuple[str, ...]) -> str:
        """What a program prints. What it says on standard error is not shown: it may hold anything."""
        try:
            child = subprocess.Popen(
                command,
                cwd=self._base,
                env=program_environment({**os.environ, **self._environ}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            raise _missing(f"secret program {command[0]} could not be started", "Check its name.") from None
        try:
            printed, _ = child.communicate(timeout=self._exec_seconds)
        except subprocess.TimeoutExpired:
            # The whole group: a grandchild that keeps the pipe open would be waited for without end.
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            what = f"secret program {command[0]} took more than {self._exec_seconds:g} s"
            raise _missing(what, "Run it by hand: it gets no terminal here, so it cannot ask.") from None
        if child.returncode != 0:
            raise _missing(f"secret program {command[0]} ended with {child.returncode}", "Run it by hand to see why.")
        return _value(printed.decode("utf-8", "surrogateescape"))


def read_secret(path: Path, name: str, read: Callable[[Path, int], bytes] = read_file) -> str:
    """The secret in a file, called `name` in messages. Raises DiagnosticError."""
    try:
        value = _value(read(path, MOST_OF_A_SECRET).decode("utf-8"))
    except (OSError, ValueError) as error:  # also: a NUL in the name
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        remedy = "Write it as a regular file, in UTF-8, with mode 0600."
        raise _missing(f"secret file {name} cannot be read ({why})", remedy) from None
    if not value:
        raise _missing(f"secret file {name} is empty", "Write the secret into it.")
    return value


def _value(text: str) -> str:
    """The secret in a text that an editor or a program has ended with a line end. Windows begins it with a mark."""
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def _missing(summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic("secret-missing", Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.CONFIGURATION)
    )
