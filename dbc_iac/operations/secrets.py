"""Secrets of a project: read ahead, required before an apply, and searched for in fields that are no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.framework.inventory import unusable_secret
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
from dbc_iac.plan import Change, Plan
from dbc_iac.views.redaction import SHORTEST


def preload_secrets(
    resolver: SecretResolver, of_project: Iterable[SecretRef], resources: Iterable[Resource[Spec]]
) -> None:
    """Read the secrets that need no program, so that all output is searched for them from the beginning.

    A missing secret is reported by the operation that needs it.
    """
    for ref in {*of_project, *(r for one in resources for r in _of_resource(one))}:
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


def require_secrets(plan: Plan, inventory: Inventory, resolver: SecretResolver) -> None:
    """Raise DiagnosticError with each secret that a creation or an update sends, and that is missing or unusable."""
    problems = Diagnostics()
    for change in plan.pending:
        if change.action != "delete":
            problems.extend(_unusable(change, inventory, resolver))
    problems.raise_errors()


def _unusable(change: Change, inventory: Inventory, resolver: SecretResolver) -> Iterator[Diagnostic]:
    resource = inventory.resources.get(change.address)
    for field in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
        try:
            value = resolver.resolve(SecretRef.model_validate(change.secrets[field.path]))
        except DiagnosticError as error:
            source = resource.where(field.path) if resource is not None else None
            for problem in error.diagnostics:
                summary = f"{field.path}: {problem.summary}"
                yield replace(problem, summary=summary, address=change.address, source=source)
        else:
            yield from unusable_secret(resource, field, value) if resource is not None else ()


def secrets_in_fields(plan: Plan, secrets: Iterable[SecretText]) -> Iterator[Diagnostic]:
    """A warning for each field that is no secret, and contains the value of one: it is sent and stored in the clear."""
    words = [s.reveal() for s in secrets]
    hidden = [w for w in words if len(w) >= SHORTEST]
    for change in plan.pending if hidden else ():
        for path, value in change.desired.items():
            if any(word in str(value) for word in hidden):
                yield Diagnostic(
                    "secret-in-the-clear",
                    Severity.WARNING,
                    f"{path} of {change.address} contains the value of a secret",
                    "Output hides it, but the plan file, the state and the node store this field in the clear.",
                    "Remove the value from the field, and replace the secret.",
                    address=change.address,
                )
