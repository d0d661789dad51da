"""What stands in the place of a plan's Markdown where no plan could be made: a comment must not show an older one."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.views.text.diagnostics import render

_MOST = 20_000
"""Bytes of the problems: the first ones tell enough, and the log of the job has all of them."""


def failed_markdown(problems: Iterable[Diagnostic], sources: Mapping[str, str], code: ExitCode) -> str:
    """The problems in a block in which nothing is markup. Secrets have been taken out before."""
    text = render(problems, sources).encode()
    cut = "\n... and more: see the log\n" if len(text) > _MOST else ""
    shown = html.escape(text[:_MOST].decode(errors="ignore")) + cut
    head = f"## dbc-iac: the plan failed\n\nIt ended with exit code {int(code)}: there is no plan.\n\n"
    return f"{head}<pre>\n{shown}</pre>\n"
