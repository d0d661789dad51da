"""Outputs: the project's `outputs`, and the address and the ssh command of each VM in the state."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.api.responses import VmDetails
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.current_route import route_to
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.virtual_machine.reading import login_account
from dbc_iac.manifest.templates import Templates
from dbc_iac.operations.checks import named_resources, without_named_resources
from dbc_iac.operations.project import Project
from dbc_iac.operations.ssh import ssh_line
from dbc_iac.plan import PlanContext
from dbc_iac.state import Binding, State


def output_templates(project: Project, name: str | None) -> Mapping[str, str]:
    """The templates of all outputs, or of one. Raises DiagnosticError for an unknown name."""
    outputs = project.loaded.project.outputs
    if name is None:
        return outputs
    if name not in outputs:
        known = ", ".join(sorted(outputs)) or "none"
        raise failure("unknown-output", f"unknown output {name}", remedy=f"Use one of: {known}.")
    return {name: outputs[name]}


def evaluate_outputs(
    project: Project, templates: Mapping[str, str], resources: ResourceValues
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The value of each output; None, with a warning, where it cannot be evaluated (not applied yet, perhaps)."""
    names = {"resource": resources.found, "project": project.loaded.name, "env": project.environment}
    evaluator = Templates(names)
    remedy = "Run `dbc-iac apply` first, or correct the template in the project file."
    if resources.problems:
        remedy = "Run the command again when its nodes answer."
    values: dict[str, Any] = {}
    problems: list[Diagnostic] = []
    for name, text in templates.items():
        try:
            values[name] = evaluator.evaluated(text)
        except ValueError as error:
            values[name] = None
            summary = f"cannot evaluate output {name}: {error}"
            problems.append(Diagnostic("no-output", Severity.WARNING, summary, remedy=remedy, exit_code=ExitCode.ERROR))
    return project.redaction(values), problems


class ResourceValues(Struct, frozen=True):
    """Facts about each resource in the state, by address, and the problems of VMs that cannot be read."""

    found: dict[str, dict[str, Any]]
    problems: tuple[Diagnostic, ...]


def resource_values(project: Project, state: State, templates: Iterable[str] | None = None) -> ResourceValues:
    """Facts about each resource in the state; VMs are read from their nodes. Raises DiagnosticError.

    `templates`: only VMs that these use are read.
    """
    used = None if templates is None else _used(templates)

    async def ask(context: PlanContext) -> ResourceValues:
        reader = CachedReader(context.connect, repeats=True)
        bindings = state.bindings.items()
        vms = {a: b for a, b in bindings if isinstance(kind_of(b.kind), Host) and (used is None or a in used)}
        read = await asyncio.gather(*(reader.vm(route_to(b, context.inventory), b.id) for b in vms.values()))
        known = {a: r.value for a, r in zip(vms, read, strict=True) if isinstance(r, Known) and r.value is not None}
        unread = {a: r for a, r in zip(vms, read, strict=True) if not isinstance(r, Known)}
        found = {a: _resource(project, state, a, known.get(a)) for a in sorted(state.bindings)}
        return ResourceValues(found, tuple(_unreadable(a, unread[a]) for a in sorted(unread)))

    return project.work(ask, state)


def _used(templates: Iterable[str]) -> set[str] | None:
    """The addresses that templates name; None if they use others, too."""
    found: set[str] = set()
    for text in templates:
        found |= named_resources(text)
        if "resource" in without_named_resources(text):
            return None
    return found


def _unreadable(address: str, reading: Unreadable) -> Diagnostic:
    rejected = reading.authority or reading.not_rented
    return Diagnostic(
        "unreadable",
        Severity.ERROR,
        f"cannot read {address}: {reading.reason}",
        remedy="" if rejected else "Run the command again when its node answers.",
        address=address,
        exit_code=ExitCode.AUTHORISATION if rejected else ExitCode.ERROR,
    )


def _resource(project: Project, state: State, address: str, vm: VmDetails | None) -> dict[str, Any]:
    binding = state.bindings[address]
    resource = project.inventory.resources.get(address)
    known = {
        "kind": binding.kind,
        "name": Address(address).label,
        "id": binding.id,
        "node": Address(binding.route.get("name", "")).name,
        "nodeId": binding.route.get("target", ""),
        "labels": dict(resource.labels) if resource is not None else {},
        "fields": {**binding.applied, **binding.resolved},
    }
    return known if vm is None else {**known, **_login(binding, vm)}


def _login(binding: Binding, vm: VmDetails) -> dict[str, Any]:
    """The address and the login of a VM; empty without ssh, or where the node reports no valid address."""
    user = login_account(vm, binding.applied)
    try:
        line = ssh_line(binding.address, vm, user, ())
    except DiagnosticError:
        return {}
    return {"host": vm.ssh_ip, "sshPort": vm.ssh_port, "user": user, "ssh": shlex.join(line)}
