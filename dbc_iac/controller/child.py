"""The process of one run: `python -m dbc_iac.controller.child`, started by a worker for each run.

Standard input has one line of JSON, the request, and stays open while the worker lives. Standard output gets one line
of JSON for each event, and one with the result. SIGTERM, or the end of the worker, stops an apply in order.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from msgspec.structs import replace

from dbc_iac import __version__
from dbc_iac.api.idempotency import CallEvent
from dbc_iac.apply import Event, Stop
from dbc_iac.controller.lanes import DatabaseLanes
from dbc_iac.controller.reconcile import Policy, RunEnd, failed, reconcile
from dbc_iac.controller.records import Outcome
from dbc_iac.diagnostics import REPORT, Diagnostic, DiagnosticError, ExitCode, Severity, place_of
from dbc_iac.operations.apply import Observer
from dbc_iac.operations.project import Project
from dbc_iac.operations.runtime import Runtime
from dbc_iac.operations.signals import act_as_ctrl_c, handled
from dbc_iac.plan import Plan
from dbc_iac.views.json.events import begin_json, event_json
from dbc_iac.views.redaction import Redaction


class Stopping:
    """A request to end the run, by a signal, the end of the worker, or the loss of the database."""

    def __init__(self) -> None:
        self.asked = False
        self._stop: Stop | None = None

    def ask(self) -> None:
        self.asked = True
        if self._stop is not None:
            self._stop.set()

    def applies(self, stop: Stop) -> None:
        """Pass the request on to an apply."""
        self._stop = stop
        if self.asked:
            stop.set()


class Reporter(Observer):
    """Writes events to the worker. A worker that is gone does not stop the apply."""

    def __init__(self, out: TextIO, stopping: Stopping) -> None:
        self._out = out
        self._stopping = stopping
        self.redaction = Redaction()

    def write(self, value: dict[str, Any]) -> None:
        with suppress(OSError, ValueError):
            self._out.write(json.dumps(value) + "\n")
            self._out.flush()

    @asynccontextmanager
    async def watching(self, plan: Plan, stop: Stop) -> AsyncIterator[None]:
        self.write(dict(begin_json(plan)))
        self._stopping.applies(stop)
        with handled(asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT), lambda _: self._stopping.ask()):
            yield

    def event(self, event: Event) -> None:
        self.write(dict(event_json(event)))

    def note(self, text: str) -> None:
        self.event(Event("note", "", text, 0.0))


def main() -> None:
    """Run the request of standard input."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing else may write between the events
    request = json.loads(sys.stdin.buffer.readline())
    if (worker := request.get("version")) != __version__:
        summary = f"the worker runs dbc-iac {worker}, but {__version__} is installed"
        problem = _problem("worker-version", summary, "Restart the worker.")
        Reporter(out, Stopping()).write({"result": failed(problem).to_json()})
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold secrets
    stopping = Stopping()
    signal.signal(signal.SIGTERM, act_as_ctrl_c)
    threading.Thread(target=_watch_worker, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    reporter = Reporter(out, stopping)
    calls: Counter[tuple[str, str]] = Counter()
    end = _run(request, reporter, stopping, lambda call: calls.update([(call.call_class.value, call.outcome)]))
    counts = [[*call, number] for call, number in sorted(calls.items())]
    reporter.write({"result": {**_shown(end, reporter.redaction).to_json(), "calls": counts}})


def _shown(end: RunEnd, redaction: Redaction) -> RunEnd:
    """The end of a run without secrets. A plan with one could not be approved by its digest, and is not stored."""
    shown = redaction(end)
    if shown.plan == end.plan:
        return shown
    if end.approval:
        summary, remedy = "the plan has the value of a secret and cannot be approved", "Change the value of the secret."
        return failed(_problem("secret-in-plan", summary, remedy))
    return replace(shown, plan=None)


def _watch_worker() -> None:
    """Stop the run when the worker has ended: then standard input has."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _run(
    request: dict[str, Any], reporter: Reporter, stopping: Stopping, called: Callable[[CallEvent], None]
) -> RunEnd:
    policy = Policy(**request["policy"])
    with asyncio.Runner() as runner:
        lanes = DatabaseLanes(request["lanes"], stopping.ask, observe=policy.mode == "observe")
        try:
            project = Project.load(
                Path(request["directory"]),
                environment=request["environment"],
                stack=request["stack"],
                runtime=Runtime(run=runner.run, turn=lanes.turn, called=called),
            )
            reporter.redaction = project.redaction
            return reconcile(project, policy, reporter, lambda: stopping.asked)
        except DiagnosticError as error:
            return failed(*error.diagnostics)
        except (KeyboardInterrupt, asyncio.CancelledError):
            return RunEnd(Outcome.INTERRUPTED, None, "stopped")
        except Exception as error:
            if _memory_ran_out(error):
                summary = f"the run needs more than {request['memory'] // 1024**2} MiB of memory"
                return failed(_problem("out-of-memory", summary, "Raise `limits.memory` of the Fleet file."))
            return failed(_problem("bug", f"this is a bug in dbc-iac ({place_of(error)})"[:72], REPORT))
        finally:
            with suppress(BaseException):
                runner.run(lanes.aclose())


def _memory_ran_out(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_memory_ran_out(one) for one in error.exceptions)
    no_thread = isinstance(error, RuntimeError) and str(error) == "can't start new thread"
    return isinstance(error, MemoryError) or no_thread or getattr(error, "errno", None) == errno.ENOMEM


def _problem(code: str, summary: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.ERROR)


if __name__ == "__main__":
    main()
