"""Completions of arguments in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.trust import as_untrusted

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


def addresses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Addresses in the manifests and in the state."""
    return _completed(context, incomplete, lambda project: {*project.inventory.resources, *_recorded(project)})


def _recorded(project: Project) -> Iterable[str]:
    """Addresses in the state; none if reading it takes a program, a secret or a network."""
    try:
        return project.state.bindings
    except DiagnosticError:
        return ()


def environments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the project's environments."""
    return _completed(context, incomplete, lambda project: set(project.loaded.project.environments))


def _completed(context: click.Context, incomplete: str, known: Callable[[Project], set[str]]) -> list[str]:
    """The words of the project with this beginning; none if the project is invalid."""
    app = context.find_object(App)
    try:
        assert app is not None  # noqa: S101 - every command has one
        # The Tab key must not run programs, read secrets or reach servers that a cloned directory names.
        app.runtime = replace(app.runtime, environ=as_untrusted(app.runtime.environ))
        words = known(app.project())
    except Exception:  # a shell that waits for words has no place for problems
        return []
    return sorted(word for word in words if word.startswith(incomplete))
