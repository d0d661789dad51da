"""Completions of arguments in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.cli.app import App
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.trust import as_untrusted

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


def addresses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Addresses in the manifests and in the state."""
    return _completed(context, incomplete, lambda project: {*project.inventory.resources, *_recorded(project)})


def recorded(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Addresses in the state."""
    return _completed(context, incomplete, lambda project: set(_recorded(project)))


def names(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A completion with the names of the resources of some kinds, in the manifests and in the state."""

    def of_kinds(project: Project) -> set[str]:
        every = map(Address, (*project.inventory.resources, *_recorded(project)))
        return {address.name for address in every if address.kind in kinds}

    return lambda context, parameter, incomplete: _completed(context, incomplete, of_kinds)


def _recorded(project: Project) -> Iterable[str]:
    """Addresses in the state; none if reading it takes a program, a secret or a network."""
    try:
        return project.state.bindings
    except DiagnosticError:
        return ()


def environments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the project's environments."""
    return _completed(context, incomplete, lambda project: set(project.loaded.project.environments))


def identities(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the project's identities."""
    return _completed(context, incomplete, lambda project: set(project.loaded.project.identities))


def stacks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the stacks of the environments, and of those that have a state."""
    return _completed(context, incomplete, lambda project: {*_of_environments(project), *_recorded_stacks(project)})


def _of_environments(project: Project) -> Iterable[str]:
    return filter(None, (environment.stack for environment in project.loaded.project.environments.values()))


def _recorded_stacks(project: Project) -> Iterable[str]:
    from dbc_iac.operations.stacks import list_stacks

    try:
        return [stack.name for stack in list_stacks(project)[0]]
    except DiagnosticError:
        return ()


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
