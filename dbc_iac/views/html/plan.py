"""A plan as one HTML page: no request leaves it, it can be read without JavaScript, what it shows is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dbc_iac.plan.model import Action, Change, FieldChange, Plan
from dbc_iac.views.disruption import Disruption, disruptions, length, shown_steps, window_text
from dbc_iac.views.graph import Graph, by_machine, plan_graph
from dbc_iac.views.grouping import Detail, grouped, likeness
from dbc_iac.views.html.layout import can_lay_out
from dbc_iac.views.html.pages import anchor, asset, environment, source_hash
from dbc_iac.views.programs import TITLE, program_texts
from dbc_iac.views.text.fields import is_long_list, list_difference, step_text, value_text
from dbc_iac.views.text.plan import (
    DRIFTED,
    INTENDED,
    ORDER,
    SIGNS,
    UNREAD,
    losses_of,
    only_drift,
    split_changes,
    summary,
    whole_length,
)
from dbc_iac.views.text.problems import problems
from dbc_iac.views.text.reference_names import named
from dbc_iac.views.text.wording import count, duration

_FEW = 8
"""Resources up to which all are open from the beginning."""
_MOST_OPEN = 25
"""Grave changes up to which each is."""
_MOST_LOSSES = 100
_FIRST = 20
"""Rows of a list that stand there at once: the others are unfolded."""


def plan_html(plan: Plan, detail: Detail = Detail.GROUPED) -> str:
    """The page. In it alike changes are one table; every one of them can be searched."""
    from markupsafe import Markup

    plan = named(plan)
    style, script = asset("plan.css"), asset("plan.js")
    told = split_changes(plan)
    shown = told.intended + told.drifted + told.unread
    found = disruptions(plan)
    changes = {c.address: c for c in plan.changes}
    whole = plan_graph(plan)
    drawn = by_machine(whole)
    page = environment(_FILTERS)
    page.tests["long_list"] = is_long_list
    return page.get_template("plan.html.jinja").render(
        plan=plan,
        title=_title(plan),
        summary=summary(plan),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=Markup(source_hash(style)),  # noqa: S704 - base64
        script_hash=Markup(source_hash(script)),  # noqa: S704 - base64
        counts=[(a.value, plan.count(a)) for a in ORDER if plan.count(a)],
        signs={a.value: s for a, s in SIGNS.items()},
        problems=problems(plan.diagnostics, detail),
        programs_title=TITLE,
        programs=[*program_texts(plan)],
        losses=[(c, loss) for c in plan.changes for loss in losses_of(c)],
        disturbed=found,
        disturbed_summary=_disrupted(found),
        length=length(found),
        sections=[
            (key, title, tuple(grouped(members, likeness, detail)))
            for key, title, members in (
                ("changes", INTENDED, told.intended),
                ("drift", DRIFTED, told.drifted),
                ("unread", UNREAD, told.unread),
            )
        ],
        first=_FIRST,
        most_losses=_MOST_LOSSES,
        opened=_opened(shown),
        graph=_graph(drawn, shown),
        machines=drawn is not whole,
        notes=[(c.address, n) for c in plan.changes if c.action is Action.NO_OP for n in c.notes],
        steps=shown_steps(plan),
        lost=losses_of,
        same=_same,
        shared_fields=_shared,
        differing_fields=_differing,
        own_fields=_own,
        drifted_fields=_drifted,
        window=lambda step: window_text(step, changes),
    )


def _title(plan: Plan) -> str:
    where = f" ({plan.environment})" if plan.environment else ""
    return f"{'Removal' if plan.destroy else 'Plan'} of {plan.project}/{plan.stack}{where}"


def _opened(shown: Sequence[Change]) -> frozenset[Action]:
    """Of which actions the changes are open from the beginning."""
    if len(shown) <= _FEW:
        return frozenset(Action)
    grave = frozenset({Action.DELETE, Action.REPLACE})
    return grave if sum(c.action in grave for c in shown) <= _MOST_OPEN else frozenset()


def _disrupted(found: Sequence[Disruption]) -> str:
    """Who is disturbed in one line: what happens to each where it is the same for all, and how long it takes."""
    told = count(len(found), "VM")
    if len(found) > 1 and len({(d.effect, d.seconds) for d in found}) == 1:
        off = f", off for about {duration(found[0].seconds)}" if found[0].seconds else ""
        told += f": each {found[0].effect.value}{off}"
    whole = whole_length(found)
    return f"{told}. {whole}" if whole else told


def _graph(graph: Graph, shown: Sequence[Change]) -> str:
    """The drawing, as markup that is safe; empty where it cannot be made."""
    if not can_lay_out():
        return ""
    from markupsafe import Markup

    from dbc_iac.views.html.drawing import svg_of_page

    return Markup(svg_of_page(graph, {c.address: anchor(c.address) for c in shown}))  # noqa: S704 - rendered with autoescape


def _same(members: Sequence[Change], attribute: str) -> bool:
    return len({getattr(m, attribute) for m in members}) == 1


def _shared(members: Sequence[Change]) -> list[FieldChange]:
    differing = set(_differing(members))
    return [f for i, f in enumerate(members[0].fields) if i not in differing]


def _differing(members: Sequence[Change]) -> list[int]:
    """The places of the fields whose values differ between members that are alike."""
    columns = zip(*(m.fields for m in members), strict=True)
    return [i for i, column in enumerate(columns) if len({step_text(f) for f in column}) > 1]


def _path(number: int, change: Change) -> str:
    return change.fields[number].path


def _own(change: Change) -> list[FieldChange]:
    """The fields that are told first: all but those that the world changed, where it is not about them alone."""
    return [f for f in change.fields if not f.drift or only_drift(change)]


def _drifted(change: Change) -> list[FieldChange]:
    return [f for f in change.fields if f.drift and not only_drift(change)]


def _name(address: str) -> str:
    return address.partition("/")[2] or address


def _step(field: FieldChange) -> str:
    return value_text(field.after) if field.before is None else step_text(field)


def _searched(change: Change) -> str:
    """What a search looks at."""
    parts = (change.address, change.node, change.action.value, change.id, *(f.path for f in change.fields))
    return " ".join(parts).lower()


_FILTERS: Mapping[str, Callable[..., object]] = {
    "anchor": anchor, "name": _name, "value": value_text, "step": _step, "list_difference": list_difference,
    "text": _searched, "count": count, "duration": duration, "field_path": _path,
}  # fmt: skip
