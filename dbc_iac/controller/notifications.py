"""Notifications of a fleet: one webhook gets a signed JSON body for what people should know."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from dbc_iac.api.http import is_loopback
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.records import Outcome, RunResult, StartedRun
from dbc_iac.diagnostics import failure
from dbc_iac.manifest.secrets import SecretResolver
from dbc_iac.secret import SecretText

SIGNATURE = "X-Dbc-Iac-Signature-256"
_TIMEOUT = 10.0
_PAUSES = (1.0, 5.0, 25.0)
"""Seconds before each repeat of a delivery that has failed."""
_GRACE = 10.0
"""Seconds for deliveries in flight when the worker ends."""


def events(run: StartedRun, result: RunResult) -> Iterator[str]:
    """Events of a run: only the first failure, the first drift and each new plan are reported."""
    known = run.approval
    same = known is not None and (known.digest, known.tree) == (result.digest, run.tree) and known.status != "stale"
    if result.approval and not same:
        yield "approval-needed"
    if result.drifted and not run.drifted:
        yield "drift-found"
    if result.outcome is Outcome.FAILED and not run.failures:
        yield "failed"
    if result.outcome in {Outcome.UNCHANGED, Outcome.APPLIED, Outcome.PLANNED} and run.failures:
        yield "recovered"


def body(fleet: str, event: str, run: StartedRun, result: RunResult) -> bytes:
    """The body of a notification."""
    content = {
        "version": 1,
        "id": f"{fleet}/{run.id}/{event}",
        "event": event,
        "fleet": fleet,
        "stack": run.stack,
        "run": run.id,
        "commit": run.commit,
        "outcome": result.outcome.value,
        "message": result.message,
        "digest": result.digest,
        "reason": result.approval,
    }
    return json.dumps(content, sort_keys=True).encode()


def signature(secret: SecretText, content: bytes) -> str:
    """HMAC-SHA256 of a body, as in the header of GitHub and of notifications."""
    return "sha256=" + hmac.new(secret.reveal().encode(), content, hashlib.sha256).hexdigest()


class Notifier:
    """Sends notifications beside the work; a run does not wait for them."""

    def __init__(
        self, fleet: str, url: SecretText, secret: SecretText, client: httpx.AsyncClient, report: Callable[[str], None]
    ) -> None:
        self._fleet = fleet
        self._url = url
        self._secret = secret
        self._client = client
        self._report = report
        self._sending: set[asyncio.Task[None]] = set()

    async def ended(self, run: StartedRun, result: RunResult, _: float) -> None:
        """Begin to send the notifications of a run."""
        for event in events(run, result):
            sending = asyncio.create_task(self._send(f"{event} of {run.stack}", body(self._fleet, event, run, result)))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def finish(self) -> None:
        """Wait for deliveries in flight, at most for a while."""
        if sending := [*self._sending]:
            await asyncio.wait(sending, timeout=_GRACE)
            for task in sending:
                task.cancel()

    async def _send(self, subject: str, content: bytes) -> None:
        headers = {"content-type": "application/json", SIGNATURE: signature(self._secret, content)}
        for pause in (*_PAUSES, None):
            try:
                answer = await self._client.post(self._url.reveal(), content=content, headers=headers)
                problem = "" if answer.is_success else f"HTTP {answer.status_code}"
            except (httpx.HTTPError, OSError) as error:  # its text may have the URL
                problem = type(error).__name__
            if not problem:
                return
            if pause is None:
                self._report(f"notification {subject} was not delivered: {problem}")
                return
            await asyncio.sleep(pause)


@asynccontextmanager
async def notifier(
    fleet: Fleet, environ: Mapping[str, str], report: Callable[[str], None]
) -> AsyncIterator[Notifier | None]:
    """The notifier of a fleet; None if its file has none. Raises DiagnosticError if a secret cannot be used."""
    spec = fleet.spec.notifications
    if spec is None:
        yield None
        return
    resolver = SecretResolver(environ, fleet.directory)
    url = await asyncio.to_thread(resolver.resolve, spec.url)
    secret = await asyncio.to_thread(resolver.resolve, spec.secret)
    _check(url)
    async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
        made = Notifier(fleet.name, url, secret, client, report)
        try:
            yield made
        finally:
            await made.finish()


def _check(url: SecretText) -> None:
    try:
        parts = urlsplit(url.reveal())
        host = parts.hostname or ""
        fits = bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    except ValueError:
        fits = False
    if not fits:
        summary = "notifications.url is no https URL"
        remedy = "Write it like https://hooks.example.org/PATH."
        raise failure("notification-url", summary, remedy=remedy)
