"""The frame of every command: global options, the runtime, and one way to report problems."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.cli.logs import logs_of
from dbc_iac.cli.resilient_stream import ResilientStream
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import REPORT, Diagnostic, DiagnosticError, ExitCode, Severity, place_of
from dbc_iac.views.error_explanations import explained
from dbc_iac.views.redaction import Redaction
from dbc_iac.views.text.lines import Line, escaped_lines, json_text

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project

_LOG = logging.getLogger("dbc_iac.cli")


@dataclass
class App:
    """The global options of one invocation."""

    runtime: CommandRuntime
    directory: Path = field(default_factory=Path)
    environment: str = ""
    stack: str = "main"
    variables: dict[str, str] = field(default_factory=dict)
    variable_files: tuple[Path, ...] = ()
    json: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    redaction: Redaction = field(default_factory=Redaction)

    def project(self) -> Project:
        """Load the project of the global options. Raises DiagnosticError with every problem of its files."""
        from dbc_iac.operations.project import Project

        project = Project.load(
            self.directory,
            environment=self.environment,
            stack=self.stack,
            variables=self.variables,
            variable_files=self.variable_files,
            runtime=self.runtime,
            sources=self.sources,
        )
        self.redaction = project.redaction
        return project

    def at(self, directory: Path) -> App:
        """The same options with another project directory."""
        return replace(self, directory=directory)

    def show(self, text: str, value: Any, *, redact: bool = True) -> None:
        """Print the result of a command: text, or with --json the value. Escaped, and without secrets: `redact` is
        false only if the user asked for them, and for a state, which holds none and must stay as it is."""
        if redact:
            text, value = self.redaction((text, value))
        self.runtime.say(json_text(value) if self.json else escaped_lines(text))

    def show_lines(self, lines: Iterable[Line], value: Any) -> None:
        """Print the result of a command: lines laid out for the terminal, or with --json the value.

        Escaped, and without secrets.
        """
        if self.json:
            self.runtime.say(json_text(self.redaction(value)))
        else:
            self.runtime.say(self.runtime.screen(self.runtime.out).render(self.redaction(line) for line in lines))

    def note(self, text: str) -> None:
        """Print progress on standard error, escaped and without secrets."""
        self.runtime.tell(escaped_lines(self.redaction(text)))

    def report(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Print problems on standard error; with --json as JSON."""
        from dbc_iac.views.text.diagnostics import diagnostics_json, render

        found = [explained(d) for d in self.redaction(list(diagnostics))]
        if not found:
            return
        if self.json:
            self.runtime.tell(json_text({"diagnostics": diagnostics_json(found)}))
        else:
            self.runtime.tell(render(found, self.sources, self.runtime.screen(self.runtime.err)))


class Exit(Exception):  # noqa: N818 - the end of a command, not a fault
    """Ends a command with an exit code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(str(code))
        self.code = code


def run_command(group: click.Command, arguments: Sequence[str], runtime: CommandRuntime) -> ExitCode:
    """Run one command line. Never raises: every end is an exit code, and a problem is reported once."""
    app = App(replace(runtime, err=ResilientStream(runtime.err)), json="--json" in arguments)
    with logs_of(app.runtime, lambda text: app.redaction(text)):  # noqa: PLW0108 - it changes when a project is loaded
        return _run(group, arguments, app)


def _run(group: click.Command, arguments: Sequence[str], app: App) -> ExitCode:
    try:
        group.main(args=list(arguments), prog_name="dbc-iac", standalone_mode=False, obj=app)
    except Exit as end:
        return end.code
    except DiagnosticError as error:
        app.report(error.diagnostics)
        return error.exit_code
    except click.exceptions.Exit as end:
        return ExitCode(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        app.runtime.tell(error.format_message())
        return ExitCode.CONFIGURATION
    except click.ClickException as error:
        app.report([_usage(error)])
        return ExitCode.CONFIGURATION
    except (KeyboardInterrupt, asyncio.CancelledError, click.Abort):
        app.runtime.tell("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.ERROR
    except ExceptionGroup as failed:  # of an apply's branches
        problems, rest = failed.split(DiagnosticError)
        if problems is None or rest is not None:
            return _bug(app, rest or failed)
        joined = DiagnosticError(*(d for error in _single(problems) for d in error.diagnostics))
        app.report(dict.fromkeys(joined.diagnostics))
        return joined.exit_code
    except UnsafeWireValue as error:  # of a node or an altered state: manifests are checked before
        unsafe = unsafe_value(error)
        app.report([unsafe])
        return unsafe.exit_code
    except Exception as error:
        return _bug(app, error)
    return ExitCode.OK


def unsafe_value(error: UnsafeWireValue) -> Diagnostic:
    """The diagnostic of a value that was refused before it was sent."""
    return Diagnostic("unsafe-value", Severity.ERROR, str(error), "Nothing was sent.")


def _single(group: ExceptionGroup[DiagnosticError]) -> Iterator[DiagnosticError]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _single(error)
        else:
            yield error


def _usage(error: click.ClickException) -> Diagnostic:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "dbc-iac"
    text = " ".join(error.format_message().split())  # click breaks lines where it lists choices
    return Diagnostic("usage", Severity.ERROR, text.rstrip("."), remedy=f"See `{command} --help`.")


def _bug(app: App, error: Exception) -> ExitCode:
    """Report an unexpected exception. Its message is not printed: it could contain anything."""
    app.report(
        [
            Diagnostic(
                "bug",
                Severity.ERROR,
                f"this is a bug in dbc-iac ({place_of(error)})",
                "Completed changes are in the state and its journal.",
                REPORT,
                exit_code=ExitCode.BUG,
            )
        ]
    )
    _LOG.debug("unexpected exception", exc_info=error)
    return ExitCode.BUG
