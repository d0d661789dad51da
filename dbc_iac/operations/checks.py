"""Checks of manifests and of plans beside those of planning: policies, outputs, stacks, wallets, and the backend."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from dbc_iac.address import close_address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Locator, Severity
from dbc_iac.kinds import Inventory, kind_of
from dbc_iac.manifest.load import LoadedProject
from dbc_iac.manifest.origins import merge_instances
from dbc_iac.manifest.project import ClientSpec, StateSpec
from dbc_iac.manifest.templates import template_problem
from dbc_iac.operations.errored_state import pending_errored_state
from dbc_iac.operations.rentals import ending_rentals
from dbc_iac.operations.secrets import secrets_in_fields
from dbc_iac.operations.stacks import claimed_elsewhere, new_stack
from dbc_iac.plan import Action, Plan, check_inventory
from dbc_iac.plan.check.references import check_fields
from dbc_iac.plan.decide.moved_blocks import blocked, check_lists, mistyped, moved_to_nothing, still_there
from dbc_iac.plan.decide.ownership import ADOPTED
from dbc_iac.plan.planner import marked, weighed
from dbc_iac.policy.evaluation import evaluate, unsound
from dbc_iac.state import State

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


OUTPUT_NAMES = frozenset({"resource", "project", "env"})
"""The names that an output can use."""
_NAMED_RESOURCE = re.compile(r"""\bresource\[(['"])([A-Za-z]+/[a-z0-9.-]+)\1\]""")


def named_resources(template: str) -> set[str]:
    """The addresses that the template of an output names as `resource['ADDRESS']`."""
    return {match[2] for match in _NAMED_RESOURCE.finditer(template)}


def without_named_resources(template: str) -> str:
    """The rest of the template of an output."""
    return _NAMED_RESOURCE.sub("", template)


def check_manifests(loaded: LoadedProject, inventory: Inventory) -> Diagnostics:
    """All problems that can be found without the API and the state."""
    project, found = loaded.project, Diagnostics()
    found.extend(loaded.diagnostics)
    if project.policies:
        found.extend(unsound(project.policies, loaded.where))
    if project.outputs:
        found.extend(unsound_outputs(project.outputs, loaded.where))
    found.extend(check_inventory(inventory, project.identity_types(), loaded.broken))
    if project.moved or project.removed:
        found.extend(check_lists(project.moves, project.removed, loaded.where))
        found.extend(still_there(project.removed, inventory))
    if found:
        merge_instances(found)
    if project.moved and not found.error_count:
        found.extend(moved_to_nothing(project.moves, inventory.resources, loaded.groups, loaded.where))
    if project.outputs and not found.error_count:
        found.extend(outputs_of_unknown_resources(project.outputs, inventory, loaded.where))
    if len(project.clients) > 1 and not found.error_count:
        found.extend(shared_wallets(loaded, inventory))
    return found


def check_to_destroy(inventory: Inventory) -> Diagnostics:
    """The problems of manifests that also prevent a destroy, which needs the routes to the objects."""
    found = check_fields(inventory)
    merge_instances(found)
    return found


def unsound_outputs(outputs: Mapping[str, str], place: Locator) -> Iterator[Diagnostic]:
    """Errors in the templates of outputs."""
    for name, text in outputs.items():
        if problem := template_problem(text, OUTPUT_NAMES):
            yield Diagnostic(
                "output-template",
                Severity.ERROR,
                f"invalid template of output {name}: {problem}",
                remedy="Write a Jinja template, such as {{ resource['VirtualMachine/trainer'].ssh }}.",
                source=place(("spec", "outputs", name)),
            )


def outputs_of_unknown_resources(
    outputs: Mapping[str, str], inventory: Inventory, place: Locator
) -> Iterator[Diagnostic]:
    """Outputs that name a resource without a manifest. All manifests are known to be valid."""
    for name, text in outputs.items():
        for address in sorted(named_resources(text) - inventory.resources.keys()):
            close = close_address(address, inventory.resources)
            yield Diagnostic(
                "unknown-resource",
                Severity.WARNING,
                f"output {name} uses {address}, which has no manifest",
                remedy=f"Did you mean {close}?" if close else "Correct the address, or add its manifest.",
                source=place(("spec", "outputs", name)),
                exit_code=ExitCode.OK,
            )


def shared_wallets(loaded: LoadedProject, inventory: Inventory) -> Iterator[Diagnostic]:
    """Wallets whose signatures reach client nodes of several providers. The manifests are known to be valid."""
    project = loaded.project
    uses: dict[Hashable, tuple[set[str], set[str]]] = {}
    for resource in inventory.resources.values():
        route = kind_of(resource.kind).route(resource, inventory)
        identity = project.identities[route.identity]
        if wallet := identity.wallet or identity.multisig:
            names, clients = uses.setdefault(wallet, (set(), set()))
            names.add(route.identity)
            clients.update(route.clients)
    for names, clients in uses.values():
        providers = sorted({_provider(project.clients[client]) for client in clients})
        if len(providers) > 1:
            yield Diagnostic(
                "shared-wallet",
                Severity.WARNING,
                f"the wallet of identity {', '.join(sorted(names))} is used at {len(providers)} providers",
                f"Signatures are sent to {', '.join(providers)}. They name no machine: each provider can use them on "
                "the machines of the others.",
                "Use one wallet per provider, or set the same `provider` on the clients that one provider runs.",
                loaded.place(f"identities.{min(names)}"),
                exit_code=ExitCode.OK,
            )


def _provider(client: ClientSpec) -> str:
    return client.provider or urlsplit(client.url).netloc.lower()


def other_environment(state: State, now: str) -> Iterator[Diagnostic]:
    """A warning if the state was applied with another environment, whose resources a plan would change."""
    if state.bindings and state.environment is not None and state.environment != now:
        yield Diagnostic(
            "other-environment",
            Severity.WARNING,
            f"the state was applied {_named(state.environment)}, this plan is {_named(now)}",
            "An environment selects values, not a state: this plan changes the resources of the other environment.",
            f"Use --stack {now or 'NAME'} to give each environment its own state.",
            exit_code=ExitCode.OK,
        )


def _named(environment: str) -> str:
    return f"with -e {environment}" if environment else "without -e"


def ephemeral_state(state: StateSpec, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    """A warning if a CI job keeps the state in its checkout: the next job would start without it.

    An absolute path is a choice, for a runner that keeps its disk.
    """
    ci = any(environ.get(name, "").lower() not in {"", "0", "false"} for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI"))
    if ci and state.backend == "local" and not PurePath(state.path).is_absolute():
        yield Diagnostic(
            "state-local-in-ci",
            Severity.WARNING,
            f"the state in {state.path} is lost when this CI job ends",
            "The next job would not know the created objects, and drift would find nothing.",
            "Set `state` in dbc-iac.yaml to a remote backend (docs/state.md).",
        )


def check_plan(project: Project, plan: Plan, state: State, warnings: Iterable[Diagnostic] = ()) -> Plan:
    """The plan with these warnings, and those of policies, rentals, other stacks, secrets and the backend."""
    spec, runtime, resources = project.loaded.project, project.runtime, project.inventory.resources
    found: list[Diagnostic] = []
    if spec.policies:
        labels = {a: r.labels for a, r in resources.items()}
        found += evaluate(spec.policies, plan, labels, runtime.now(), project.loaded.where)
    if spec.thresholds.rental_ends_within is not None and not plan.destroy:
        found += ending_rentals(plan.rentals, spec.thresholds.rental_ends_within, runtime.now())
    placed = [
        replace(d, source=r.where("")) if d.source is None and (r := resources.get(d.address or "")) is not None else d
        for d in found
    ]
    adopts = any(change.action is Action.ADOPT for change in plan.changes)
    claimed = [*claimed_elsewhere(project, plan)] if adopts else []
    placed += claimed
    if not plan.destroy and (spec.moved or spec.removed):
        placed += blocked(state, spec.moves, resources, project.loaded.where)
        placed += mistyped(spec.removed, state, plan.changes, project.loaded.where)
    placed += warnings
    placed += ephemeral_state(spec.state, runtime.environ)
    if (waiting := pending_errored_state(project, plan.serial)) is not None:
        placed.append(waiting)
    placed += secrets_in_fields(plan, project.resolver.known.values())
    # Explanations of other problems come first. An object of another stack is refused, so its adoption is not reported.
    first = [] if state.lineage else [*new_stack(project, state)]
    first += other_environment(state, project.environment) if state.environment != project.environment else ()
    refused = {d.address for d in claimed}
    kept = [d for d in plan.diagnostics if d.code != ADOPTED or d.address not in refused]
    before, after = ([weighed(d, spec.thresholds.refuse) for d in found] for found in (first, placed))
    changes = tuple(marked(plan.changes, (*before, *after)))
    return replace(plan, changes=changes, diagnostics=(*before, *kept, *after))
