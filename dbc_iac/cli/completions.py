"""Completions of arguments in a shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


def addresses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Addresses in the manifests and in the state."""
    return _completed(context, incomplete, lambda project: {*project.inventory.resources, *project.state.bindings})


def environments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the project's environments."""
    return _completed(context, incomplete, lambda project: set(project.loaded.project.environments))


def _completed(context: click.Context, incomplete: str, known: Callable[[Project], set[str]]) -> list[str]:
    """The words of the project with this beginning; none where the project is invalid."""
    given, app = context.find_root().params, context.find_object(App)
    try:
        assert app is not None  # noqa: S101 - every command has one
        app.directory = given.get("directory") or app.directory
        app.environment, app.stack = given.get("environment") or "", given.get("stack") or app.stack
        words = known(app.project())
    except Exception:  # a shell that waits for words has no place for problems
        return []
    return sorted(word for word in words if word.startswith(incomplete))
