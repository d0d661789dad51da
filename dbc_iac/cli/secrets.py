"""The secrets of a plan that is about to be applied: all must be at hand, and fit to be sent, before anything is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics
from dbc_iac.kinds import Inventory, kind_of
from dbc_iac.kinds.framework.inventory import unusable_secret
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
from dbc_iac.plan import Plan
from dbc_iac.plan.model import Change


def require_secrets(plan: Plan, inventory: Inventory, resolver: SecretResolver) -> None:
    """Raises DiagnosticError with each that a creation or a change would send, and that is missing or unfit."""
    problems = Diagnostics()
    for change in plan.pending:
        if change.action != "delete":
            problems.extend(_unfit(change, inventory, resolver))
    problems.raise_errors()


def _unfit(change: Change, inventory: Inventory, resolver: SecretResolver) -> Iterator[Diagnostic]:
    resource = inventory.resources.get(change.address)
    for field in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
        try:
            value = resolver.resolve(SecretRef.model_validate(change.secrets[field.path]))
        except DiagnosticError as error:
            place = resource.where(field.path) if resource is not None else None
            for told in error.diagnostics:
                summary = f"{field.path}: {told.summary}"
                yield replace(told, summary=summary, address=change.address, source=place)
        else:
            yield from unusable_secret(resource, field, value) if resource is not None else ()
