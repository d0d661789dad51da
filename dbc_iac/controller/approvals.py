"""Approvals of plans in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, LiteralString

from dbc_iac.controller.database import Connection
from dbc_iac.controller.records import ApprovalRecord, Outcome, RunResult
from dbc_iac.controller.tables import Tables
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

LAST_APPROVALS: LiteralString = (
    "select id, stack, run, digest, tree, commit, reason, status, requested, decided, decided_by from approvals "
    "where stack = %s order by id desc limit %s"
)
"""Query of a number of approvals of a stack, the newest first."""


class Approvals(Tables):
    """Queries of approvals."""

    async def approvals(self, stack: str, limit: int = 50) -> list[ApprovalRecord]:
        """The last approvals of a stack, the newest first."""
        return await self._all(ApprovalRecord, LAST_APPROVALS, (stack, limit))

    async def decide(
        self, stack: str, digest: str, decision: Literal["approved", "rejected"], who: str
    ) -> ApprovalRecord:
        """Approve or reject the plan that waits. Raises DiagnosticError if no plan with this digest waits."""
        async with self._transaction() as connection:
            found = await connection.execute(
                "update approvals a set status = %s, decided = clock_timestamp(), decided_by = %s from stacks s "
                "where a.stack = %s and a.digest = %s and a.status = 'pending' and s.name = a.stack "
                "and s.tree = a.tree returning a.id",
                (decision, who, stack, digest),
            )
            decided = await found.fetchone() is not None
            if decided:
                await connection.execute(
                    "update stacks set next_run = clock_timestamp(), "
                    "phase = case when %s = 'rejected' then 'rejected' else phase end where name = %s and not removed",
                    (decision, stack),
                )
        known = await self.approvals(stack)
        same = next((a for a in known if a.digest == digest), None)
        if decided and same is not None:
            return same
        raise DiagnosticError(_undecidable(stack, digest, same, known))


async def settle_approvals(
    connection: Connection, run: int, stack: str, tree: str, commit: str, result: RunResult
) -> None:
    """Close approvals that do not fit any more, and request a new one where the plan needs it."""
    if result.outcome in {Outcome.INTERRUPTED, Outcome.FAILED} and not result.approval:
        return  # an approved plan is continued
    done = "applied" if result.outcome is Outcome.APPLIED else "stale"
    await connection.execute(
        "update approvals set status = case when status = 'approved' and digest = %(digest)s then %(done)s "
        "else 'stale' end where stack = %(stack)s and (status in ('pending', 'approved') and "
        "(digest <> %(digest)s or tree <> %(tree)s or not %(needed)s))",
        {"stack": stack, "digest": result.digest, "tree": tree, "needed": bool(result.approval), "done": done},
    )
    if result.approval:
        await connection.execute(
            "insert into approvals (stack, run, digest, tree, commit, reason) values (%s, %s, %s, %s, %s, %s) "
            "on conflict do nothing",
            (stack, run, result.digest, tree, commit, result.approval),
        )


def _undecidable(
    stack: str, digest: str, decided: ApprovalRecord | None, known: Iterable[ApprovalRecord]
) -> Diagnostic:
    waiting = next((a for a in known if a.status == "pending"), None)
    detail = "No plan of this stack waits for approval."
    remedy = f"Check it with `dbc-iac controller status {stack}`."
    if decided is not None and decided.status in {"approved", "rejected", "applied"}:
        detail = f"It was {decided.status if decided.status != 'applied' else 'approved'} by {decided.decided_by}."
    elif waiting is not None and waiting.digest != digest:
        detail = f"The plan that waits is {waiting.digest}."
        remedy = "Review that plan, and repeat the command with its digest."
    return Diagnostic(
        "not-waiting",
        Severity.ERROR,
        f"the plan {digest[:12]} of {stack} does not wait for approval",
        detail,
        remedy,
        exit_code=ExitCode.REFUSED,
    )
