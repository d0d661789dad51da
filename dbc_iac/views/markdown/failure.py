"""Markdown of a failed plan: it replaces an older plan in a comment."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.views.text.diagnostics import render

_MAX = 20_000
"""Bytes of the diagnostics; the log of the job has all of them."""


def failed_markdown(problems: Iterable[Diagnostic], sources: Mapping[str, str], code: ExitCode) -> str:
    """Diagnostics in a block without markup. They hold no secrets."""
    text = render(problems, sources).encode()
    cut = "\n... and more, see the log\n" if len(text) > _MAX else ""
    shown = html.escape(text[:_MAX].decode(errors="ignore")) + cut
    head = f"## dbc-iac: plan failed\n\nThe plan failed with exit code {int(code)}.\n\n"
    return f"{head}<pre>\n{shown}</pre>\n"
