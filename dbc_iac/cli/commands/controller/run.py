"""`controller run`: a worker of a fleet."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.extras import require_controller
from dbc_iac.cli.options import WholeNumber, fleet_option, json_problems_option
from dbc_iac.controller.fleet import load_fleet
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.files.reading import open_regular


def _data(environ: dict[str, str]) -> Path:
    """The default directory: systemd's, else that of the user's states."""
    if directory := environ.get("STATE_DIRECTORY"):
        return Path(directory)
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "dbc-iac" / "controller"


@contextmanager
def _own(place: Path) -> Iterator[None]:
    """The data directory for this worker alone, within a context. Raises DiagnosticError."""
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = open_regular(place / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    except BlockingIOError:
        summary = "the data directory belongs to a running worker"
        remedy = "Give each worker a directory of its own with --data."
        raise failure("data-directory", summary, f"{place}.", remedy, exit_code=ExitCode.REFUSED) from None
    except OSError as error:
        summary, remedy = "cannot use the data directory", "Name another directory with --data."
        raise failure("data-directory", summary, f"{place}: {error.strerror}.", remedy) from None
    try:
        yield
    finally:
        os.close(descriptor)


@click.command("run")
@fleet_option
@click.option("--workers", type=WholeNumber(1, 64), default=4, show_default=True, help="Runs at the same time.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of mirrors, checkouts and caches; default: $STATE_DIRECTORY, else ~/.local/state/dbc-iac.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="",
    help="Serve the page, health, metrics and webhooks at this address.",
)
@json_problems_option
@click.pass_obj
def command(app: App, /, fleet: Path, workers: int, data: Path | None, listen: str) -> None:
    """Reconcile the stacks of a fleet until interrupted.

    Several processes, also on several machines, can share the work of one fleet.
    """
    require_controller()
    from dbc_iac.controller.process import WorkerOptions, run_worker

    made = load_fleet(fleet, app.sources)
    place = data or _data({**os.environ, **app.runtime.environ})
    options = WorkerOptions(workers, place, notify=app.note, listen=listen)
    with _own(place):
        app.runtime.run(run_worker(made, app.runtime.environ, options))
