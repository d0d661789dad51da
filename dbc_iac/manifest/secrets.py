"""Secret references in manifests: never a literal value; resolved when needed, never printed.

{env: DBC_WALLET_SEED}     an environment variable
{file: ./secrets/key}      a file, relative to the project
{exec: [pass, show, x]}    standard output of a program, started without a shell

A byte order mark and one final line end of a file or of a program's output are not part of the secret.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from dbc_iac.api.http import HEADER_VALUE
from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, DiagnosticError, ExitCode, Severity, SourceRange, failure
from dbc_iac.files.reading import read_file
from dbc_iac.manifest.trust import program_environment, refuse_untrusted
from dbc_iac.manifest.validators import Form, SecretForm, wrong
from dbc_iac.secret import SecretText

_LOG = logging.getLogger("dbc_iac.manifest")
LITERAL = "literal_secret"
"""Type of the pydantic error for a literal value instead of a reference."""
IN_A_HEADER = SecretForm(
    HEADER_VALUE,
    "printable ASCII characters without surrounding spaces or line breaks",
    "Remove all other characters.",
    65536,
)
AS_PASSWORD = SecretForm(
    r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*", "UTF-8 without control characters", "Remove the control characters."
)
MAX_SECRET_BYTES = 1024 * 1024
"""Maximum size of a secret file, and of the output of a program, in bytes."""
EXEC_SECONDS = 30.0
"""Time limit of a program that prints a secret, in seconds."""


EnvironmentName = Annotated[
    str,
    Form(r"[A-Za-z_][A-Za-z0-9_.-]*", "a variable name", "Write a name, such as DBC_WALLET_SEED."),
]


class SecretRef(BaseModel):
    """Reference to a secret: exactly one of `env`, `file` and `exec`."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    env: EnvironmentName | None = Field(default=None, description="name of an environment variable")
    file: str | None = Field(default=None, description="path of a file, relative to the project", min_length=1)
    command: tuple[str, ...] | None = Field(
        default=None, alias="exec", description="program and arguments; its standard output is the secret", min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, value: Any) -> Any:
        unknown = isinstance(value, Mapping) and not set(value) <= {"env", "file", "exec"}
        if isinstance(value, str | int | float) or unknown:
            raise PydanticCustomError(
                LITERAL, "literal secret; expected {{env: NAME}}, {{file: PATH}} or {{exec: [..]}}"
            )
        if isinstance(value, Mapping) and sum(v is not None for v in value.values()) != 1:
            raise wrong("expected exactly one of env, file and exec", "Keep one of them, such as {env: NAME}.")
        return value

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        if self.command is not None:
            return {"exec": list(self.command)}
        return {"env": self.env} if self.env is not None else {"file": self.file}

    def __str__(self) -> str:
        """Readable form, such as `environment variable DBC_WALLET_SEED`."""
        if self.command is not None:
            return f"exec {self.command[0]}"
        return f"environment variable {self.env}" if self.env is not None else f"file {self.file}"


MISSING = "secret-missing"
"""Code of the diagnostic of a secret that cannot be read."""
Places = Mapping[SecretRef, str]
"""Field of each reference, as a dotted path."""


def secret_places(part: Any, path: str = "") -> Places:
    """Secret references of a model with their fields."""
    if isinstance(part, SecretRef):
        return {part: path}
    inner: Iterable[tuple[object, Any]] = ()
    if isinstance(part, BaseModel):
        inner = ((f.alias or name, getattr(part, name)) for name, f in type(part).model_fields.items())
    elif isinstance(part, Mapping):
        inner = part.items()
    elif isinstance(part, tuple):
        inner = enumerate(part)
    found: dict[SecretRef, str] = {}
    for key, value in inner:
        found.update(secret_places(value, f"{path}.{key}" if path else str(key)))
    return found


class SecretResolver(Struct, eq=False):
    """Resolve references, each once. `base`: directory of relative file names.

    `places`: fields of the references of the project file; `where`: their source ranges, for diagnostics. `found` gets
    each secret.
    """

    __repr__ = object.__repr__  # environment variables hold secrets

    environ: Mapping[str, str]
    base: Path
    exec_seconds: float = EXEC_SECONDS
    places: Places = {}
    where: Callable[[str], SourceRange | None] = lambda path: None
    found: Callable[[SecretText], None] = lambda _: None
    known: dict[SecretRef, SecretText] = field(default_factory=dict)
    """Secrets resolved so far."""
    _missing: dict[SecretRef, DiagnosticError] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def fitting(self, ref: SecretRef, form: SecretForm) -> SecretText:
        """Resolve a secret and require a form. Raises DiagnosticError, also where `resolve` does."""
        value = self.resolve(ref)
        if not form.fits(value.reveal()):
            unfit = f"the value of {ref} cannot be used"
            expected = f"Expected {form.words}."
            raise DiagnosticError(
                self._placed(ref, Diagnostic("unsafe-secret", Severity.ERROR, unfit, expected, form.remedy))
            )
        return value

    def resolve(self, ref: SecretRef) -> SecretText:
        """Resolve a secret, once for all threads. Raises DiagnosticError with the reference, never with a value.

        A reference that fails is not read again: its program may take long, or ask a person.
        """
        with self._turn:
            if ref not in self.known and ref not in self._missing:
                try:
                    self.known[ref] = SecretText(self._read(ref))
                    self.found(self.known[ref])
                except DiagnosticError as error:
                    self._missing[ref] = DiagnosticError(*(self._placed(ref, d) for d in error.diagnostics))
        if ref in self._missing:
            raise DiagnosticError(*self._missing[ref].diagnostics)
        return self.known[ref]

    def available(self, ref: SecretRef) -> SecretText | None:
        """Resolve a secret; None if that fails."""
        try:
            return self.resolve(ref)
        except DiagnosticError:
            return None

    def _placed(self, ref: SecretRef, diagnostic: Diagnostic) -> Diagnostic:
        """The diagnostic with the field and source range of its reference; a long name of a field is in the detail."""
        if not (path := self.places.get(ref)):
            return diagnostic
        source = self.where(path)
        if len(summary := f"{path}: {diagnostic.summary}") <= MAX_SUMMARY:
            return replace(diagnostic, summary=summary, source=source)
        return replace(diagnostic, detail=f"Field {path}. {diagnostic.detail}".rstrip(), source=source)

    def _read(self, ref: SecretRef) -> str:
        refuse_untrusted(self.environ, *(("read the", ref) if ref.command is None else ("run", ref.command[0])))
        if ref.env is not None:
            if ref.env not in self.environ:
                raise _missing(f"environment variable {ref.env} is not set", f"Set {ref.env}.")
            if not self.environ[ref.env]:  # CI sets a withheld secret to an empty value
                raise _missing(f"environment variable {ref.env} is empty", f"Set {ref.env}.")
            return self.environ[ref.env]
        if ref.file is not None:
            return read_secret(self.base / ref.file, ref.file)
        assert ref.command is not None  # noqa: S101 - one of the three is set
        return self._printed(ref.command)

    def _printed(self, command: tuple[str, ...]) -> str:
        """Standard output of a program. Its standard error may contain secrets and is discarded."""
        _LOG.debug("running the secret program %s", command[0])  # its arguments may say more than its name
        try:
            child = subprocess.Popen(
                command,
                cwd=self.base,
                env=program_environment({**os.environ, **self.environ}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            raise _missing(
                f"cannot start the secret program {command[0]}", "Correct `exec`, or install the program."
            ) from None
        late = threading.Event()

        def end() -> None:
            # The whole process group: a grandchild that keeps the pipe open would block forever.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

        def expire() -> None:
            late.set()
            end()

        timer = threading.Timer(self.exec_seconds, expire)
        timer.start()
        with child:
            try:
                assert child.stdout is not None  # noqa: S101 - it is a pipe
                printed = child.stdout.read(MAX_SECRET_BYTES + 1)
                if len(printed) > MAX_SECRET_BYTES:
                    end()
                child.wait()
            except BaseException:
                end()
                raise
            finally:
                timer.cancel()
        if late.is_set():
            summary = f"secret program {command[0]} timed out after {self.exec_seconds:g} s"
            raise _missing(summary, "Make it print the secret without a prompt; it has no terminal.")
        if len(printed) > MAX_SECRET_BYTES:
            raise _missing(f"secret program {command[0]} printed more than 1 MiB", "Make it print only the secret.")
        if child.returncode != 0:
            raise _missing(
                f"secret program {command[0]} exited with code {child.returncode}",
                "Run it in a shell to see its error.",
            )
        return _value(printed.decode("utf-8", "surrogateescape"))


def read_secret(path: Path, name: str, read: Callable[[Path, int], bytes] = read_file) -> str:
    """Read a secret file, called `name` in messages. Raises DiagnosticError."""
    try:
        value = _value(read(path, MAX_SECRET_BYTES).decode("utf-8"))
    except (OSError, ValueError) as error:  # ValueError: also a NUL in the name
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        remedy = "Write the secret to a regular UTF-8 file with mode 0600."
        raise _missing(f"cannot read the secret file {name} ({why})", remedy) from None
    if not value:
        raise _missing(f"secret file {name} is empty", "Write the secret into the file.")
    return value


def _value(text: str) -> str:
    """The text without a byte order mark and without one final line end."""
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def _missing(summary: str, remedy: str) -> DiagnosticError:
    return failure(MISSING, summary, remedy=remedy, exit_code=ExitCode.CONFIGURATION)
