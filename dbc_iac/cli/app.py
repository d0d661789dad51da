"""The frame of every command: global options, the runtime, and one way to report problems."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.cli.habits import SIMILAR
from dbc_iac.cli.logs import LogHandler, start_logs, stop_logs
from dbc_iac.cli.runtime import INTERRUPTED, CommandRuntime, ResilientStream, end_command
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.manifest.header import DEFAULT_STACK
from dbc_iac.views.redaction import Redaction
from dbc_iac.views.text.lines import Line, escaped_lines, json_pieces, json_text

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


class App(Struct):
    """The global options of one invocation."""

    __repr__ = object.__repr__  # texts of files

    runtime: CommandRuntime
    directory: Path = field(default_factory=Path)
    environment: str = ""
    stack: str | None = None
    """The stack that was requested; after loading, that of the project."""
    variables: dict[str, str] = field(default_factory=dict)
    variable_files: tuple[Path, ...] = ()
    json: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    redaction: Redaction = field(default_factory=Redaction)
    applying: bool = False
    """Whether the command goes on if standard output cannot be written."""
    logs: list[LogHandler] = field(default_factory=list)
    """The handler of logs, if they are asked for."""

    def project(self, *, only_project_file: bool = False) -> Project:
        """Load the project of the global options. Raises DiagnosticError with every problem of its files.

        `only_project_file`: for commands that read the state alone.
        """
        from dbc_iac.operations.project import Project

        project = Project.load(
            self.directory,
            environment=self.environment,
            stack=self.stack,
            variables=self.variables,
            variable_files=self.variable_files,
            runtime=self.runtime,
            sources=self.sources,
            only_project_file=only_project_file,
        )
        self.redaction, self.stack = project.redaction, project.stack
        return project

    def project_of_state(self) -> Project:
        """The project, for its state; its project file alone if variables or manifests are invalid.

        What can be loaded gives the secrets that are hidden where the state repeats them.
        """
        try:
            return self.project()
        except DiagnosticError:
            return self.project(only_project_file=True)

    def at(self, directory: Path) -> App:
        """The same options with another project directory."""
        return replace(self, directory=directory)

    def command_line(self, *words: str) -> str:
        """Another command for the same project, environment and stack."""
        given = {
            "-C": self.directory if self.directory != Path() else "",
            "-e": self.environment,
            "--stack": self.stack if self.stack != DEFAULT_STACK else "",
        }
        options = [part for option, value in given.items() if value for part in (option, str(value))]
        return shlex.join(["dbc-iac", *options, *words])

    def show(self, text: str, value: Any, *, redact: bool = True) -> None:
        """Print the result of a command: text, or with --json the value. Escaped, and without secrets: `redact` is
        false only if the user asked for them, and for a state, which holds none and must stay as it is."""
        if redact:
            text, value = self.redaction((text, value))
        self.runtime.print_lines([json_text(value) if self.json else escaped_lines(text)])

    def show_lines(self, lines: Iterable[Line], value: Any) -> None:
        """Print the result of a command: lines laid out for the terminal, or with --json the value.

        Escaped, and without secrets. Each line, and each item of an iterator in the value, is made when it is printed.
        """
        if not self.json:
            screen = self.runtime.screen(self.runtime.out)
            self.runtime.print_lines(screen.render([self.redaction(line)]) for line in lines)
        elif isinstance(value, Mapping):
            shown = (
                (k, map(self.redaction, v) if isinstance(v, Iterator) else self.redaction(v)) for k, v in value.items()
            )
            self.runtime.print_lines(json_pieces(dict(shown)))
        else:
            self.runtime.print_lines([json_text(self.redaction(value))])

    def note(self, text: str) -> None:
        """Print progress on standard error, escaped and without secrets."""
        self.runtime.print_err(escaped_lines(self.redaction(text)))

    def report(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Print problems on standard error; with --json as JSON."""
        if found := self.redaction(list(diagnostics)):
            from dbc_iac.cli.failures import problems_text

            self.runtime.print_err(problems_text(self, found))

    def unwritable(self, error: Exception) -> None:
        """Standard output cannot be written: the end of a command, but not of an apply. Raises as `end_command`."""
        if not self.applying:
            end_command(error)
        self.runtime.print_err("cannot write standard output any more; the apply continues")


def run_command(group: click.Command, arguments: Sequence[str], runtime: CommandRuntime) -> ExitCode:
    """Run one command line. Never raises: every end is an exit code, and a problem is reported once."""
    as_json = not {"--json", "-json"}.isdisjoint(arguments)
    app = App(replace(runtime, err=ResilientStream(runtime.err)), json=as_json)
    app.runtime = replace(app.runtime, out=ResilientStream(runtime.out, app.unwritable))
    try:
        return _code(app, group, arguments)
    except (KeyboardInterrupt, click.Abort):
        app.runtime.print_err(INTERRUPTED)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.ERROR
    except BaseException as error:
        from dbc_iac.cli.failures import end_of

        return end_of(app, error)
    finally:
        if app.logs:
            stop_logs(app)


def _code(app: App, group: click.Command, arguments: Sequence[str]) -> ExitCode:
    """The exit code of a command that ends by itself, after its problems are reported."""
    try:
        if app.runtime.environ.get("DBC_IAC_DEBUG"):
            start_logs(app, "")
        # The code of click.exceptions.Exit; None of a command without one.
        code = group.main(args=list(arguments), prog_name="dbc-iac", standalone_mode=False, obj=app)
        return ExitCode(code or 0)
    except DiagnosticError as error:
        app.report(error.diagnostics)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        app.runtime.print_err(error.format_message())
        return ExitCode.CONFIGURATION
    except click.ClickException as error:
        app.report([_usage(error)])
        return ExitCode.CONFIGURATION


def _usage(error: click.ClickException) -> Diagnostic:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "dbc-iac"
    if isinstance(error, click.NoSuchOption):
        close = difflib.get_close_matches(error.option_name, error.possibilities or (), 1, cutoff=SIMILAR)
        remedy = f"Did you mean {close[0]}?" if close else f"See `{command} --help`."
        summary = f"{command.removeprefix('dbc-iac ')} has no option {error.option_name[:30]}"
        return Diagnostic("usage", Severity.ERROR, summary, remedy=remedy)
    text = " ".join(error.format_message().split())  # click breaks lines where it lists choices
    return Diagnostic("usage", Severity.ERROR, text.rstrip("."), remedy=f"See `{command} --help`.")
