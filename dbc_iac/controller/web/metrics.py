"""Metrics for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dbc_iac.controller.records import Phase, QueueLength, RunResult, SourceStatus, StackStatus, StartedRun

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)


class Metrics:
    """Runs and requests of this worker, and the condition of its fleet, which every worker reports alike."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"dbc_iac_{name}", text, labels, registry=self._registry)

        self._stacks = gauge("stacks", "Stacks of the fleet by phase.", "fleet", "phase")
        self._drifted = gauge("stacks_drifted", "Stacks that were changed outside dbc-iac.", "fleet")
        self._failures = gauge("stack_failures", "Failed runs since the last success.", "fleet", "stack")
        self._success = gauge(
            "stack_last_success_timestamp_seconds", "Time of the last successful run.", "fleet", "stack"
        )
        self._fetches = gauge("source_failures", "Failed fetches since the last success.", "fleet", "source")
        self._jobs = gauge("queue_jobs", "Jobs that wait in the queue of the database.")
        self._age = gauge("queue_oldest_seconds", "Time that the oldest job of the queue has waited.")
        self._runs = Histogram(
            "dbc_iac_reconcile_seconds",
            "Duration of the runs of this worker by outcome.",
            ("outcome",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

        self._calls = Counter(
            "dbc_iac_calls",
            "Requests to nodes by the runs of this worker, by class (effect of a repeat) and outcome.",
            ("class", "outcome"),
            registry=self._registry,
        )

    async def ended(self, _: StartedRun, result: RunResult, seconds: float) -> None:
        """Count a run that has ended, and its requests."""
        self._runs.labels(result.outcome.value).observe(seconds)
        for kind, outcome, number in result.calls:
            self._calls.labels(kind, outcome).inc(number)

    def text(
        self, fleet: str, stacks: Iterable[StackStatus], sources: Iterable[SourceStatus], queue: QueueLength
    ) -> bytes:
        """All metrics in the text format of Prometheus."""
        for labelled in (self._stacks, self._drifted, self._failures, self._success, self._fetches):
            labelled.clear()  # removed stacks disappear
        phases = {phase.value: 0 for phase in Phase}
        drifted = 0
        for stack in stacks:
            phases[stack.phase] = phases.get(stack.phase, 0) + 1  # a newer worker may have others
            drifted += stack.drifted
            self._failures.labels(fleet, stack.name).set(stack.failures)
            if stack.last_success is not None:
                self._success.labels(fleet, stack.name).set(stack.last_success.timestamp())
        for phase, number in phases.items():
            self._stacks.labels(fleet, phase).set(number)
        self._drifted.labels(fleet).set(drifted)
        for source in sources:
            self._fetches.labels(fleet, source.name).set(source.failures)
        self._jobs.set(queue.jobs)
        self._age.set(queue.oldest)
        return generate_latest(self._registry)
