"""The HTTP server of tests: the real application on a real store, without a port; and a fleet with everything in it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from msgspec.structs import replace

from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.controller.web.access import WebSecrets
from dbc_iac.controller.web.app import Web, application
from dbc_iac.controller.web.metrics import Metrics
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.decide.deletions import data_loss
from dbc_iac.plan.model import Change, Placement, Plan
from dbc_iac.secret import SecretText
from dbc_iac.views.text.diagnostics import diagnostics_json
from tests.controller.fleets import fleet
from tests.kinds.shown import ROUTE
from tests.views.plans import HOSTILE, everything

TOKEN, GITHUB, GITLAB = "token-of-the-page-canary", "secret-of-github-canary", "secret-of-gitlab-canary"
SECRETS = WebSecrets(SecretText(TOKEN), SecretText(GITHUB), SecretText(GITLAB))
BEARER = {"authorization": f"Bearer {TOKEN}"}
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


@asynccontextmanager
async def browsing(
    fleet: Fleet,
    store: Store | None,
    *,
    client: str = HERE,
    url: str = "http://127.0.0.1:8080",
    secrets: WebSecrets = SECRETS,
    metrics: Metrics | None = None,
    reports: list[str] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client at an address, of a server that it knows by a URL."""
    app = application(
        Web(fleet, secrets, metrics or Metrics(), lambda: store, (reports if reports is not None else []).append)
    )
    transport = httpx.ASGITransport(app, client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=url) as made:
        yield made


def _readable(plan: Plan) -> Plan:
    """The plan with a route, desired values and losses for each change, as planning makes them."""
    return replace(plan, changes=tuple(_planned(change) for change in plan.changes))


def _planned(change: Change) -> Change:
    placement = Placement("Node/gpu-a", ROUTE.to_json(), "")
    desired = {field.path: field.after for field in change.fields if not field.secret}
    had = [field for field in change.fields if not field.secret and field.before is not None]
    observed = {field.path: field.before for field in had}
    applied = {field.path: field.after if field.drift else field.before for field in had}
    secrets = {field.path: {"env": "PASSWORD"} for field in change.fields if field.secret}
    losses = data_loss(change) if change.losses else ()
    return replace(
        change,
        placement=placement,
        old_placement=placement,
        desired=desired,
        applied=applied,
        observed=observed,
        secrets=secrets,
        losses=losses,
    )


PLAN = _readable(everything())
PHASES = (Phase.SYNCED, Phase.SYNCED, Phase.FAILED, Phase.SYNCED, Phase.DRIFTED, Phase.WINDOW, Phase.OUT_OF_SYNC)


async def filled(store: Store, directory: Path, stacks: int) -> Fleet:
    """A fleet: the plan of `vision-0` waits for approval, `vision-1` has a problem with hostile text."""
    made = fleet(
        directory,
        *({"name": f"vision-{n}", "source": "infra", "path": f"v{n}", "mode": "approve"} for n in range(stacks)),
    )
    await store.register(made)
    trees = {f"vision-{n}": f"t{n}" for n in range(stacks)}
    await store.synced("research", "infra", "3f786850e387550fdab836ed7e6dc881de23001b", trees, 60)
    problem = Diagnostic("no-project", Severity.ERROR, "no dbc-iac.yaml in v1", HOSTILE, "Correct `path`.")
    plan = json.dumps(PLAN.to_json())
    for name, result in (
        ("vision-1", RunResult(Outcome.APPLIED, Phase.SYNCED, 600, "Plan: 3 to create.")),
        (
            "vision-1",
            RunResult(
                Outcome.FAILED, Phase.FAILED, 600, HOSTILE, diagnostics=json.dumps(diagnostics_json([problem]))
            ),
        ),
        (
            "vision-0",
            RunResult(Outcome.PLANNED, Phase.APPROVAL, 600, "Plan: 2 to create, 1 to delete.", PLAN.digest, plan,
                      approval="data loss"),
        ),
    ):  # fmt: skip
        started = await store.begin_run(name, "host:1", 60)
        assert started is not None
        await store.add_events(
            started.id, [(n, {"event": "note", "address": f"Disk/d{n}", "text": HOSTILE}) for n in (0, 1)]
        )
        await store.end_run(started.id, result)
    async with store.pool.connection() as connection:
        for number, phase in enumerate(PHASES):
            await connection.execute(
                "update stacks set phase = %s, message = 'Plan: no changes.', applied_commit = commit, applied_tree = tree, "
                "next_run = clock_timestamp() + interval '7 minutes' where phase = 'pending' and number %% %s = %s",
                (phase, len(PHASES), number),
            )
    return made


def csrf_of(text: str) -> str:
    """The CSRF value of a page."""
    [*found] = set(re.findall(r'name="csrf" value="([^"]+)"', text))
    assert len(found) == 1
    return str(found[0])
