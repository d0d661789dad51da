"""The command line: arguments -> one call -> report; nothing else."""

from dbc_iac.cli.app import main, run_command
from dbc_iac.cli.runtime import Runtime

__all__ = ["Runtime", "main", "run_command"]
