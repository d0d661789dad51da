"""Helpers that most tests of the command line share."""

from __future__ import annotations

from tests.projects import Emulated, project


def write(emulated: Emulated, *documents: str) -> None:
    """The manifests from now on."""
    project(emulated.project.directory, *documents, environ=emulated.project.environ)


def applied(emulated: Emulated, *options: str) -> None:
    result = emulated.run("apply", "--yes", *options)
    assert result.code == 0, result.out + result.err


def assert_empty(emulated: Emulated) -> None:
    result = emulated.run("plan", "--detailed-exitcode")
    assert result.code == 0, result.out + result.err
