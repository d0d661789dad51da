"""A plan as Markdown for a pull request: summary on top, each change folded, no part too long for a comment.

Text from manifests and nodes is put into code blocks or escaped, so that it cannot make links, images or mentions.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from dbc_iac.diagnostics import Severity
from dbc_iac.plan.model import Action, Change, Plan
from dbc_iac.views.disruption import disruptions
from dbc_iac.views.text.fields import named
from dbc_iac.views.text.lines import PLAIN_TEXT, Line, Tone, escaped
from dbc_iac.views.text.plan import (
    PROGRAMS,
    SIGNS,
    VERBS,
    disruption_texts,
    group_lines,
    likeness,
    program_texts,
    reason_text,
    schedule_lines,
    scope,
    split_changes,
    summary,
)
from dbc_iac.views.text.problems import problems
from dbc_iac.views.wording import Detail, count, grouped, rental_texts

MAX = 65_000
"""Bytes of one part: forges accept comments of 65,536 bytes and more, and other text may surround it."""
_MAX_BLOCK = 20_000
"""Bytes of one code block, so that no single change fills a comment."""
_MAX_LINES, _MAX_LINE = 40, 400
"""Lines of one list, and bytes of one of its lines."""
_LATER_PARTS = "the others are files beside the first one, in CI among the artifacts of the job"
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>~$&^]|:(?=[\w/]))")
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=://)|(?<=www)(?=\.)", re.IGNORECASE)
"""Places for a zero-width space, which breaks mentions and links."""
_DIFF = {Tone.ADDED: "+", Tone.REMOVED: "-", Tone.LOSS: "-", Tone.CHANGED: "!"}
_ALERTS = {Severity.ERROR: "CAUTION", Severity.WARNING: "WARNING", Severity.NOTE: "NOTE"}
_MARKS = {Action.CREATE: "+", Action.UPDATE: "!", Action.REPLACE: "!", Action.DELETE: "-"}
"""Marks of the lines of a `diff` block, which give them their colours."""


def plan_markdown(plan: Plan, detail: Detail = Detail.GROUPED, most: int = MAX) -> tuple[str, ...]:
    """Parts of at most `most` bytes each, cut between resources. Usually one."""
    parts: list[list[str]] = [[]]
    room = most - 400  # for the line that numbers the parts
    used = 0
    for block in _blocks(named(plan), detail):
        size = _size(block)
        if parts[-1] and used + size > room:
            parts.append([])
            used = 0
        parts[-1].append(block)
        used += size
    texts = ["\n".join(part) for part in parts]
    if len(texts) == 1:
        return tuple(texts)
    return tuple(
        f"{text}\n{part_mark(number)}{len(texts)}{f': {_LATER_PARTS}' if number == 1 else ''}.*\n"
        for number, text in enumerate(texts, 1)
    )


def part_mark(number: int) -> str:
    """Beginning of the last line of a part."""
    return f"*Part {number} of "


def _size(text: str) -> int:
    return len(text.encode()) + 1


def _blocks(plan: Plan, detail: Detail) -> Iterator[str]:
    """Blocks that are not cut, in order."""
    disrupted = disruptions(plan)
    yield f"## {_title(plan)}\n\n**{plain(summary(plan))}** {plain(scope(plan, disrupted))}\n"
    for found in problems(plan.diagnostics, detail):
        yield from _alert(_ALERTS[found.severity], found.title.rstrip(":"), found.lines)
    yield from _alert("CAUTION", "Data loss", [loss for change in plan.pending for loss in change.losses])
    yield from _alert("WARNING", "Disruption", [t.strip() for t in disruption_texts(disrupted.machines, detail)])
    yield from _alert("IMPORTANT", PROGRAMS, [*program_texts(plan)])
    for title, lines in (("Recovery", plan.recovery), ("Moved", plan.moves)):
        if lines:
            yield f"**{title}**\n\n" + "".join(f"- {line}\n" for line in _listed(lines))
    for title, changes in split_changes(plan).items():
        if changes:
            yield f"### {title}\n"
            yield from _folded(changes, detail)
    notes = [f"{c.address}: {n}" for c in plan.changes if c.action is Action.NO_OP for n in c.notes]
    if notes:
        yield _details(count(len(notes), "note"), _fence([Line(n) for n in notes]))
    if rentals := [*rental_texts(plan.rentals)]:
        yield _details(count(len(rentals), "rental"), _fence([Line(text) for text in rentals]))
    steps = list(schedule_lines(disrupted, detail))
    if steps:
        yield _details(count(len(disrupted.steps), "step"), _fence(steps))


def _title(plan: Plan) -> str:
    where = f" on {_code(plan.environment)}" if plan.environment else ""
    return f"dbc-iac: {'destroy plan' if plan.destroy else 'plan'} of {_code(f'{plan.project}/{plan.stack}')}{where}"


def _code(text: str) -> str:
    """A code span that its content cannot close: a plan file may hold any name."""
    return f"`{_short(text).replace('`', '')}`"


def _alert(kind: str, title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"> [!{kind}]\n> **{title}**\n" + "".join(f"> - {line}\n" for line in _listed(lines))


def _listed(lines: Sequence[str]) -> Iterator[str]:
    """Lines of a list as Markdown, limited in number and length."""
    yield from (plain(_short(line)) for line in lines[:_MAX_LINES])
    if len(lines) > _MAX_LINES:
        yield f"... and {len(lines) - _MAX_LINES:,} more, see `dbc-iac plan --full`"


def _short(line: str) -> str:
    text = escaped(line[: _MAX_LINE + 1])
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE].rstrip()} ... (cut)"


def _folded(changes: Sequence[Change], detail: Detail) -> Iterator[str]:
    """Folded changes; deletions and replacements are open, and creations if there is nothing else."""
    only_creates = all(c.action is Action.CREATE for c in changes)
    for members in grouped(changes, likeness, detail):
        first = members[0]
        who = first.address if len(members) == 1 else f"{len(members):,} x {first.kind}"
        why = reason_text(first) if len({m.reasons for m in members}) == 1 else ""
        text = f"<code>{SIGNS[first.action]}</code> <b>{_html(who)}</b> {VERBS[first.action]}"
        text += f": {_html(_short(why))}" if why else ""
        grave = only_creates or first.action in {Action.DELETE, Action.REPLACE}
        body = list(group_lines(members))[1:]  # without the head, which is the summary
        if body:
            yield _details(text, _fence(body, _MARKS.get(first.action, " ")), opened=" open" if grave else "")
        else:
            yield f"<p>{text}</p>\n"  # an HTML block: no Markdown inside


def _details(summary_html: str, body: str, opened: str = "") -> str:
    return f"<details{opened}><summary>{summary_html}</summary>\n\n{body}\n</details>\n"


def _fence(lines: Iterable[Line], mark: str = " ") -> str:
    """A `diff` code block that its content cannot close; `mark` for lines without a tone."""
    found = list(lines)
    indent = min((len(line.text) - len(line.text.lstrip(" ")) for line in found if line.text), default=0)
    marked = (Line(f"{_DIFF.get(line.tone, mark)} {line.text[indent:]}".rstrip()) for line in found)
    text = _cut(PLAIN_TEXT.render(marked), _MAX_BLOCK)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}diff\n{text.rstrip()}\n{fence}\n"


def _cut(text: str, most: int) -> str:
    """The text, or its beginning and the number of missing characters."""
    if len(text.encode()) <= most:
        return text
    kept = text.encode()[:most].decode(errors="ignore")
    return f"{kept}\n... {len(text) - len(kept):,} more characters, see `dbc-iac plan --full`"


def plain(text: str) -> str:
    """Text outside a code block, without markup and mentions."""
    return _MARKUP.sub(r"\\\1", _MENTION.sub("\u200b", escaped(text)))


def _html(text: str) -> str:
    """The same inside an HTML tag, where Markdown escapes have no effect."""
    return html.escape(_MENTION.sub("\u200b", escaped(text)))
