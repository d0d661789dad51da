"""A plan as one HTML page: self-contained, readable without JavaScript, with every text escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from dbc_iac.address import Address
from dbc_iac.plan.model import Action, Change, FieldChange, Plan
from dbc_iac.views.disruption import Disruption, disruptions, length
from dbc_iac.views.graph import Graph, by_machine, plan_graph
from dbc_iac.views.html.layout import can_lay_out
from dbc_iac.views.html.pages import anchor, asset, environment, source_hash
from dbc_iac.views.text.fields import EFFECTS, is_long_list, list_difference, named, step_text, value_text
from dbc_iac.views.text.plan import (
    ORDER,
    PROGRAMS,
    SIGNS,
    VERBS,
    likeness,
    machines,
    only_drift,
    program_texts,
    reason_text,
    scope,
    split_changes,
    summary,
    whole_length,
    window_text,
)
from dbc_iac.views.text.problems import problems
from dbc_iac.views.wording import Detail, count, duration, grouped, rental_texts

if TYPE_CHECKING:
    from jinja2 import Template

_FEW = 8
"""Number of resources up to which all are open at first."""
_MAX_OPEN = 25
"""Number of deletions and replacements up to which these are open at first."""
_MAX_LOSSES = 100
_MAX_LINES = 20
"""Rows of a list that are not folded."""
_PIECE = 200
"""Outputs of the template in one piece of the page: an output is a text or a value between two of its marks."""

T = TypeVar("T")


@cache
def _template() -> Template:
    page = environment(_FILTERS)
    page.tests["long_list"] = is_long_list
    return page.get_template("plan.html.jinja")


def plan_html(plan: Plan, detail: Detail = Detail.GROUPED) -> Iterator[str]:
    """The page, in pieces. Similar changes share a table; each can be searched.

    The template streams what it writes itself: a macro or a filter of many changes would hold the text of all.
    """
    from markupsafe import Markup

    digest, plan = plan.digest, named(plan)
    style, script = asset("plan.css"), asset("plan.js")
    split = split_changes(plan)
    shown = [change for changes in split.values() for change in changes]
    disrupted = disruptions(plan)
    whole = plan_graph(plan)
    drawn = by_machine(whole)
    pieces = _template().stream(
        plan=plan,
        digest=digest,
        title=_title(plan),
        summary=summary(plan),
        scope=scope(plan, disrupted),
        verbs={a.value: v for a, v in VERBS.items()},
        reason=reason_text,
        style=Markup(style),  # noqa: S704 - file of this package
        script=Markup(script),  # noqa: S704 - file of this package
        style_hash=Markup(source_hash(style)),  # noqa: S704 - base64
        script_hash=Markup(source_hash(script)),  # noqa: S704 - base64
        counts=[(a.value, plan.count(a)) for a in ORDER if plan.count(a)],
        signs={a.value: s for a, s in SIGNS.items()},
        problems=problems(plan.diagnostics, detail),
        programs_title=PROGRAMS,
        programs=[*program_texts(plan)],
        losses=[(c, loss) for c in plan.pending for loss in c.losses],
        disruptions=disrupted.machines,
        disruption_summary=_disrupted(disrupted.machines),
        length=length(disrupted.machines),
        sections=[
            (key, title, tuple(grouped(members, likeness, detail)))
            for key, (title, members) in zip(("changes", "drift", "unread"), split.items(), strict=True)
        ],
        most_lines=_MAX_LINES,
        most_losses=_MAX_LOSSES,
        opened=_opened(shown),
        graph=_graph(drawn, shown),
        machines=drawn is not whole,
        notes=[(c.address, n) for c in plan.changes if c.action is Action.NO_OP for n in c.notes],
        rentals=[*rental_texts(plan.rentals)],
        steps=disrupted.steps,
        lost=lambda change: change.losses if change.pending else (),
        same=_same,
        shared_fields=_shared,
        differing_fields=_differing,
        group_notes=_group_notes,
        own_fields=_own,
        drifted_fields=_drifted,
        window=lambda step: window_text(step, disrupted.off),
    )
    pieces.enable_buffering(_PIECE)
    return pieces


def _title(plan: Plan) -> str:
    where = f" ({plan.environment})" if plan.environment else ""
    return f"{'Destroy plan' if plan.destroy else 'Plan'} of {plan.project}/{plan.stack}{where}"


def _opened(shown: Sequence[Change]) -> frozenset[Action]:
    """Actions whose changes are open at first: all of a small plan, and of a plan that only creates."""
    if len(shown) <= _FEW or all(c.action is Action.CREATE for c in shown):
        return frozenset(Action)
    grave = frozenset({Action.DELETE, Action.REPLACE})
    return grave if sum(c.action in grave for c in shown) <= _MAX_OPEN else frozenset()


def _disrupted(found: Sequence[Disruption]) -> str:
    """Disruptions in one line: their number, the effect if all share it, and the total time."""
    text = machines(found)
    if len(found) > 1 and len({(d.effect, d.seconds) for d in found}) == 1:
        off = f", off for about {duration(found[0].seconds)}" if found[0].seconds else ""
        text += f": each {found[0].effect.value}{off}"
    whole = whole_length(found)
    return f"{text}. {whole}" if whole else text


def _graph(graph: Graph, shown: Sequence[Change]) -> str:
    """The drawing as safe markup; empty without igraph."""
    if not can_lay_out():
        return ""
    from markupsafe import Markup

    from dbc_iac.views.html.drawing import svg_of_page

    return Markup(svg_of_page(graph, {c.address: anchor(c.address) for c in shown}))  # noqa: S704 - rendered with autoescape


def _same(members: Sequence[Change], attribute: str) -> bool:
    return len({getattr(m, attribute) for m in members}) == 1


def _shared(first: Change, differing: Sequence[int]) -> list[FieldChange]:
    """Fields of the first of a group whose values are those of all members."""
    return [f for i, f in enumerate(first.fields) if i not in differing]


def _differing(members: Sequence[Change]) -> list[int]:
    """Indexes of the fields whose values differ between the members of a group."""
    columns = zip(*(m.fields for m in members), strict=True)
    return [i for i, column in enumerate(columns) if len({step_text(f) for f in column}) > 1]


def _group_notes(members: Sequence[Change]) -> list[str]:
    """The first different notes of the members of a group."""
    return [*islice(dict.fromkeys(note for member in members for note in member.notes), _MAX_LINES)]


def _parts(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """The first items, which are shown, and the others, which are folded."""
    return [part for part in (items[:most], items[most:]) if part]


def _path(number: int, change: Change) -> str:
    return change.fields[number].path


def _own(change: Change) -> list[FieldChange]:
    """Fields without the drifted ones, unless the change only reverts drift."""
    return [f for f in change.fields if not f.drift or only_drift(change)]


def _drifted(change: Change) -> list[FieldChange]:
    return [f for f in change.fields if f.drift and not only_drift(change)]


def _name(address: str) -> str:
    return Address(address).label or address


def _step(field: FieldChange) -> str:
    return value_text(field.after) if field.before is None else step_text(field)


def _searched(change: Change) -> str:
    """Searchable text of a change."""
    parts = (
        change.address,
        change.placement.node,
        change.action.value,
        change.identity.id,
        *(f.path for f in change.fields),
    )
    return " ".join(parts).lower()


_FILTERS: Mapping[str, Callable[..., object]] = {
    "anchor": anchor, "name": _name, "value": value_text, "step": _step, "effect": EFFECTS.get,
    "list_difference": list_difference, "text": _searched, "count": count, "duration": duration, "field_path": _path,
    "parts": _parts,
}  # fmt: skip
