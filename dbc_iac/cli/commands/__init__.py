"""The `dbc-iac` command: the global options, and a module for each command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from dbc_iac import __version__
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import environments
from dbc_iac.cli.lazy import LazyGroup, epilog
from dbc_iac.cli.logs import set_verbosity
from dbc_iac.manifest.trust import as_untrusted
from dbc_iac.operations.stack_name import check_stack_name

OPS = ("api", "deeplink", "disk", "image", "network", "node", "server", "snapshot", "vm", "wallet")
"""The operations commands."""
_COMMANDS = (
    "apply", "comment", "completion", "controller", "demo", "destroy", "drift", "emulator", "fmt", "graph", "import",
    "init", "orphans", "output", "plan", "schema", "show", "signing-key", "stack", "state", "validate",
)  # fmt: skip
_MODULES = {
    **{name: f"dbc_iac.cli.ops.{name}" for name in OPS},
    **{name: f"dbc_iac.cli.commands.{name.replace('-', '_')}" for name in _COMMANDS},
    "import": "dbc_iac.cli.commands.import_",
}


@click.group(
    cls=LazyGroup,
    modules=_MODULES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(("init --name lab", "plan", "-e prod --stack blue apply --yes", "-C infra drift --json")),
)
@click.option(
    "-C", "directory", default=".", type=click.Path(path_type=Path, file_okay=False), help="Project directory."
)
@click.option(
    "-e", "--environment", default="", shell_complete=environments,
    help="Environment whose variable files are used, such as prod.",
)  # fmt: skip
@click.option("--stack", default="main", show_default=True, help="Name of the stack: one state, one lock.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a variable.")
@click.option(
    "--var-file", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file of variables.",
)  # fmt: skip
@click.option(
    "--no-exec", is_flag=True,
    help="For a project that was not reviewed: run no programs, read no secrets, reach no network.",
)  # fmt: skip
@click.option("-v", "--verbose", count=True, help="Log decisions to standard error; -vv: requests to nodes, too.")
@click.version_option(__version__)
@click.pass_obj
def dbc_iac(
    app: App,
    /,
    directory: Path,
    environment: str,
    stack: str,
    variables: tuple[str, ...],
    files: tuple[Path, ...],
    no_exec: bool,
    verbose: int,
) -> None:
    """Declarative infrastructure on DeepBrainChain GPU machines.

    Write manifests, review the plan, apply it: `dbc-iac init`, `dbc-iac plan`, `dbc-iac apply`.
    """
    set_verbosity(app.runtime, verbose)
    check_stack_name(stack)
    app.directory, app.environment, app.stack, app.variable_files = directory, environment, stack, files
    if no_exec:
        app.runtime = replace(app.runtime, environ=as_untrusted(app.runtime.environ))
    for text in variables:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--var {text}: expected NAME=VALUE")
        app.variables[name] = value
