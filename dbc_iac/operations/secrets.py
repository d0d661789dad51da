"""Secrets of a project: read ahead, required before an apply, and searched for in fields that are no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.framework.inventory import unusable_secret
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.manifest.origins import merge_instances
from dbc_iac.manifest.secrets import MISSING, SecretRef, SecretResolver
from dbc_iac.plan import Plan
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import SHORTEST


def secrets_of(resource: Resource[Spec]) -> Iterator[tuple[str, SecretRef]]:
    """Field and reference of each secret of a resource."""
    for field in kind_of(resource.kind).secret_fields:
        if isinstance(value := field.read(resource.spec), SecretRef):
            yield field.path, value


def with_all_missing(error: DiagnosticError, inventory: Inventory, resolver: SecretResolver) -> DiagnosticError:
    """The error; if a secret is missing, with all that are, and the purpose of each. Programs are not run."""
    if not any(d.code == MISSING for d in error.diagnostics):
        return error
    found = Diagnostics()
    used = {kind_of(r.kind).route(r, inventory).identity for r in inventory.resources.values()}
    for ref, path in resolver.places.items():
        section, _, name = path.partition(".")
        if section != "identities" or name.partition(".")[0] in used:
            found.extend(replace(d, detail=_purpose(path)) for d in _missing(ref, resolver))
    for resource in inventory.resources.values():
        for field_path, ref in secrets_of(resource):
            found.extend(_of_field(d, field_path, resource, Severity.WARNING) for d in _missing(ref, resolver))
    merge_instances(found)
    reported = {(d.summary, d.severity) for d in found}
    kept = [d for d in error.diagnostics if (d.summary, d.severity) not in reported]
    summaries = {d.summary for d in kept}
    return DiagnosticError(*kept, *(d for d in found if d.summary not in summaries))


def _missing(ref: SecretRef, resolver: SecretResolver) -> Iterable[Diagnostic]:
    if ref.command is not None:
        return ()
    try:
        resolver.resolve(ref)
    except DiagnosticError as error:
        return error.diagnostics
    return ()


def _purpose(path: str) -> str:
    """The use of a secret of the project file, by its field."""
    section, name, *_ = (*path.split("."), "")
    uses = {
        "identities": f"Identity {name} signs requests with it",
        "clients": f"Requests to client {name} need it",
        "state": "The backend of the state needs it",
        "encryption": "The state is encrypted with it",
    }
    return f"{uses.get(section, 'The project needs it')} ({path})."


def _of_field(problem: Diagnostic, path: str, resource: Resource[Spec], severity: Severity) -> Diagnostic:
    detail = "The apply that creates the resource or changes the field needs it."
    placed = replace(problem, summary=f"{path}: {problem.summary}", address=resource.address)
    return replace(placed, detail=detail, severity=severity, source=resource.where(path))


def require_secrets(plan: Plan, inventory: Inventory, resolver: SecretResolver, *, programs: bool = True) -> None:
    """Raise DiagnosticError with each secret that a creation or an update sends, and that is missing or unusable.

    `programs`: also run those that print one.
    """
    problems = Diagnostics()
    for change in plan.pending:
        if not change.secrets or change.action == "delete":
            continue
        resource = inventory.resources.get(change.address)
        for field in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
            ref = SecretRef.model_validate(change.secrets[field.path])
            if ref.command is not None and not programs:
                continue
            try:
                value = resolver.resolve(ref)
            except DiagnosticError as error:
                source = resource.where(field.path) if resource is not None else None
                for problem in error.diagnostics:
                    summary = f"{field.path}: {problem.summary}"
                    problems.add(replace(problem, summary=summary, address=change.address, source=source))
            else:
                problems.extend(unusable_secret(resource, field, value) if resource is not None else ())
    problems.raise_errors()


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
