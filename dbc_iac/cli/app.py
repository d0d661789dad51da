"""What every command has: the global options, the runtime, and one way out for problems. No command's own work."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from dbc_iac.cli.resilient_stream import ResilientStream, present
from dbc_iac.cli.runtime import Runtime
from dbc_iac.cli.signals import end_on_signals, end_with
from dbc_iac.diagnostics import REPORT, Diagnostic, DiagnosticError, ExitCode, Severity, place_of
from dbc_iac.views.redaction import Redaction
from dbc_iac.views.text.lines import Line, json_text


@dataclass
class App:
    """The global options of one invocation."""

    runtime: Runtime
    directory: Path = field(default_factory=Path)
    environment: str = ""
    stack: str = "main"
    variables: dict[str, str] = field(default_factory=dict)
    variable_files: tuple[Path, ...] = ()
    json: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    redaction: Redaction = field(default_factory=Redaction)

    def show(self, text: str, value: Any) -> None:
        """The result of a command: text for people, or JSON."""
        self.runtime.say(json_text(value) if self.json else text)

    def show_lines(self, lines: Iterable[Line], value: Any) -> None:
        """The result of a command: lines in the colours and the width of the terminal, if it is one, or JSON."""
        self.runtime.say(json_text(value) if self.json else self.runtime.screen(self.runtime.out).render(lines))

    def report(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Problems, all of them, on standard error; with --json as JSON."""
        from dbc_iac.views.error_explanations import explained
        from dbc_iac.views.text.diagnostics import diagnostics_json, render

        found = [explained(d) for d in self.redaction(list(diagnostics))]
        if not found:
            return
        if self.json:
            self.runtime.tell(json_text({"diagnostics": diagnostics_json(found)}))
        else:
            self.runtime.tell(render(found, self.sources, self.runtime.screen(self.runtime.err)))


@contextmanager
def writing() -> Iterator[None]:
    """Around files that a user asked for: a place that cannot be written is a problem of the place, not a bug."""
    try:
        yield
    except OSError as error:
        summary = f"{error.filename or 'the file'} cannot be written ({error.strerror})"
        remedy = "Choose another place, or allow writing there."
        raise DiagnosticError(Diagnostic("unwritable-file", Severity.ERROR, summary, remedy=remedy)) from None


class Exit(Exception):  # noqa: N818 - the end of a command, not a fault
    """Ends a command with an exit code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(str(code))
        self.code = code


def run_command(group: click.Command, arguments: Sequence[str], runtime: Runtime) -> ExitCode:
    """Run one command line. Never raises: every end is an exit code, and a problem is told once."""
    runtime = replace(runtime, err=ResilientStream(runtime.err))
    app = App(runtime, json="--json" in arguments)
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
        runtime.tell(error.format_message())
        return ExitCode.CONFIGURATION
    except click.ClickException as error:
        app.report([_usage(error)])
        return ExitCode.CONFIGURATION
    except (KeyboardInterrupt, asyncio.CancelledError, click.Abort):
        runtime.tell("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.ERROR
    except ExceptionGroup as failed:  # of an apply's branches
        problems, rest = failed.split(DiagnosticError)
        if problems is None or rest is not None:
            return _bug(app, rest or failed)
        told = DiagnosticError(*(d for error in _single(problems) for d in error.diagnostics))
        app.report(dict.fromkeys(told.diagnostics))
        return told.exit_code
    except Exception as error:
        return _bug(app, error)
    return ExitCode.OK


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
    return Diagnostic("usage", Severity.ERROR, text, remedy=f"See `{command} --help`.")


def _bug(app: App, error: Exception) -> ExitCode:
    """A fault of ours. The message of the exception is not shown: it could hold anything."""
    app.report(
        [
            Diagnostic(
                "bug",
                Severity.ERROR,
                f"this is a bug in dbc-iac ({place_of(error)})",
                "What was done so far is in the state and its journal.",
                REPORT,
                exit_code=ExitCode.BUG,
            )
        ]
    )
    if app.runtime.environ.get("DBC_IAC_DEBUG"):
        app.runtime.tell("".join(traceback.format_exception(error)))
    return ExitCode.BUG


def main() -> None:
    """One command in a process of its own."""
    from dbc_iac.cli.commands import dbc_iac

    end_on_signals()
    sys.stderr = ResilientStream(present(sys.stderr))  # click writes there, too
    code = run_command(dbc_iac, sys.argv[1:], Runtime())
    end_with(code)
    sys.stdout = ResilientStream(
        present(sys.stdout)
    )  # Python has a code of its own for what it cannot write at its end
    sys.exit(int(code))
