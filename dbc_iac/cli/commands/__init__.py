"""The `dbc-iac` command: the global options, and a module for each command."""

from __future__ import annotations

import click
from click.core import ParameterSource

from dbc_iac import __version__
from dbc_iac.cli.app import App
from dbc_iac.cli.global_options import GLOBAL_OPTIONS
from dbc_iac.cli.lazy import LazyGroup, epilog
from dbc_iac.cli.logs import start_logs

OPS = ("api", "deeplink", "disk", "image", "network", "node", "server", "snapshot", "vm", "wallet")
"""The operations commands."""
_COMMANDS = (
    "apply", "comment", "completion", "console", "controller", "demo", "destroy", "drift", "emulator", "explain", "fmt",
    "graph", "import", "init", "orphans", "output", "plan", "schema", "show", "signing-key", "stack", "state",
    "validate",
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
@click.version_option(__version__)
@click.pass_obj
def dbc_iac(app: App, /) -> None:
    """Declarative infrastructure on DeepBrainChain GPU machines.

    Write manifests, review the plan, apply it: `dbc-iac init`, `dbc-iac plan`, `dbc-iac apply`.
    """
    verbose = click.get_current_context().get_parameter_source("verbose")
    if verbose is ParameterSource.DEFAULT and (level := app.runtime.environ.get("DBC_IAC_LOG")):
        start_logs(app, level.lower())


dbc_iac.params = [*GLOBAL_OPTIONS, *dbc_iac.params]
