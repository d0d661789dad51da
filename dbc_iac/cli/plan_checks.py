"""What is said of a plan beside what it does: by policies, of other stacks, of names and of where it runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dbc_iac.cli.pipelines import forgotten
from dbc_iac.cli.secret_preload import in_the_clear
from dbc_iac.cli.stacks import claimed_elsewhere
from dbc_iac.cli.state_transfer import still_errored
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.manifest.project import ClientSpec
from dbc_iac.manifest.templates import template_problem
from dbc_iac.plan.decide.moved_blocks import mistyped
from dbc_iac.plan.planner import weighed
from dbc_iac.policy.evaluation import Locator, evaluate

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan import Plan


OUTPUT_NAMES = frozenset({"resource", "project", "env"})
"""What an output can name."""


def unsound_outputs(outputs: Mapping[str, str], place: Locator) -> Iterator[Diagnostic]:
    """Problems of outputs that no apply will take away."""
    for name, text in outputs.items():
        if problem := template_problem(text, OUTPUT_NAMES):
            yield Diagnostic(
                "output-template",
                Severity.ERROR,
                f"the output {name} cannot be read: {problem}",
                remedy="Write a Jinja template, such as {{ resource['VirtualMachine/trainer'].ssh }}.",
                source=place(("spec", "outputs", name)),
            )


def _another_environment(workspace: Workspace) -> Iterator[Diagnostic]:
    """Environments share the state of their stack: what one has made the other would change."""
    state, now = workspace.recorded(), workspace.app.environment
    if state.bindings and state.environment is not None and state.environment != now:
        yield Diagnostic(
            "other-environment",
            Severity.WARNING,
            f"what is in this state was applied with {_named(state.environment)}, and this is a plan {_named(now)}",
            "An environment chooses values, not a state: this plan changes what the other one has made.",
            f"Give each its state, if that is not meant: --stack {now or 'NAME'}.",
            exit_code=ExitCode.OK,
        )


def shared_wallets(workspace: Workspace) -> Iterator[Diagnostic]:
    """Wallets whose signatures reach client nodes of several providers. The documents are known to be sound."""
    project = workspace.loaded.project
    uses: dict[Hashable, tuple[set[str], set[str]]] = {}
    for resource in workspace.inventory.resources.values():
        route = kind_of(resource.kind).route(resource, workspace.inventory)
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
                f"Signatures go to {', '.join(providers)}. They name no machine: each provider can use what it gets on "
                "the machines of the others.",
                "Use one wallet per provider, or set `provider` alike on the clients that one provider runs.",
                workspace.loaded.place(f"identities.{min(names)}"),
                exit_code=ExitCode.OK,
            )


def _provider(client: ClientSpec) -> str:
    return client.provider or urlsplit(client.url).netloc.lower()


def _named(environment: str) -> str:
    return f"-e {environment}" if environment else "without -e"


def check_plan(workspace: Workspace, plan: Plan, warnings: Iterable[Diagnostic] = ()) -> Plan:
    """The plan with these warnings, and what policies, other stacks and the place of its state give besides."""
    project, runtime, resources = workspace.loaded.project, workspace.app.runtime, workspace.inventory.resources
    labels = {a: r.labels for a, r in resources.items()}
    found = evaluate(project.policies, plan, labels, runtime.now(), workspace.loaded.where)
    placed = [
        replace(d, source=resources[d.address].where("")) if d.address in labels and d.source is None else d
        for d in found
    ]
    placed += claimed_elsewhere(workspace, plan)
    if project.removed and not plan.destroy:
        placed += mistyped(project.removed, workspace.recorded(), plan.changes, workspace.loaded.where)
    placed += warnings
    placed += _another_environment(workspace)
    placed += forgotten(project.state, runtime.environ)
    if (waiting := still_errored(workspace, plan.serial)) is not None:
        placed.append(waiting)
    placed += in_the_clear(plan, workspace.resolver.known())
    placed = [weighed(d, project.thresholds.refuse) for d in placed]
    return replace(plan, diagnostics=(*plan.diagnostics, *placed)) if placed else plan
