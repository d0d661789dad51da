"""The secrets of a project that can be read without a program being run: what is shown is searched for them from the
beginning, not only from when they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
from dbc_iac.plan import Plan
from dbc_iac.views.redaction import SHORTEST


def preload_secrets(resolver: SecretResolver, project: BaseModel, resources: Iterable[Resource[Spec]]) -> None:
    """Has the resolver read what stands in the environment and in files. What cannot be is told by who needs it."""
    for ref in {*_references(project), *(r for one in resources for r in _of_resource(one))}:
        if ref.command is None:
            try:
                resolver.resolve(ref)
            except DiagnosticError:
                continue


def _of_resource(resource: Resource[Spec]) -> Iterator[SecretRef]:
    for field in kind_of(resource.kind).secret_fields:
        value: object = resource.spec
        for key in field.path.split("."):
            value = getattr(value, key, None)
        if isinstance(value, SecretRef):
            yield value


def _references(value: Any) -> Iterator[SecretRef]:
    """All that are in a model, however deep."""
    match value:
        case SecretRef():
            yield value
        case BaseModel():
            for _, inner in value:
                yield from _references(inner)
        case Mapping():
            for inner in value.values():
                yield from _references(inner)
        case tuple() | list():
            for inner in value:
                yield from _references(inner)


def in_the_clear(plan: Plan, secrets: Iterable[SecretText]) -> Iterator[Diagnostic]:
    """A warning for each field that holds the value of a secret and is none: it is sent and kept as it is."""
    words = [s.reveal() for s in secrets]
    hidden = [w for w in words if len(w) >= SHORTEST]
    for change in plan.pending if hidden else ():
        for path, value in change.desired.items():
            if any(word in str(value) for word in hidden):
                yield Diagnostic(
                    "secret-in-the-clear",
                    Severity.WARNING,
                    f"{path} of {change.address} holds the value of a secret",
                    "No report shows it, but the plan file, the state and the node keep this field as it is.",
                    "Write the field without it, and take another secret.",
                    address=change.address,
                )
