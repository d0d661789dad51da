"""A plan as one HTML page: no request leaves it, it can be read without JavaScript, what it shows is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dbc_iac.plan.model import Action, Change, FieldChange, Plan
from dbc_iac.report.disturbance import Disturbance, disturbances, shown_steps
from dbc_iac.report.field_text import is_long_list, list_difference, step_text, value_text
from dbc_iac.report.graph import Graph, by_machine, plan_graph
from dbc_iac.report.grouping import Detail, grouped, likeness
from dbc_iac.report.layout import can_lay_out
from dbc_iac.report.pages import anchor, asset, environment, source_hash
from dbc_iac.report.plan_text import ORDER, SIGNS, losses, losses_of, summary, told_apart, window_length

_FEW = 8
"""Changes up to which all are open from the beginning."""


def plan_html(plan: Plan, detail: Detail = Detail.GROUPED) -> str:
    """The page. In it alike changes are one table; every one of them can be searched."""
    from markupsafe import Markup

    style, script = asset("plan.css"), asset("plan.js")
    intended, drifted = told_apart(plan)
    found = disturbances(plan)
    groups = [list(grouped(changes, likeness, detail)) for changes in (intended, drifted)]
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
        losses=losses(plan),
        disturbed=found,
        length=_length(found),
        intended=groups[0],
        drifted=groups[1],
        few=sum(map(len, groups)) <= _FEW,
        graph=_graph(drawn, intended + drifted),
        machines=drawn is not whole,
        notes=[(c.address, n) for c in plan.changes if c.action is Action.NO_OP for n in c.notes],
        steps=shown_steps(plan),
        lost=losses_of,
        same=_same,
        shared_fields=_shared,
        differing_fields=_differing,
        grave=lambda change: change.action in {Action.DELETE, Action.REPLACE},
    )


def _title(plan: Plan) -> str:
    where = f" ({plan.environment})" if plan.environment else ""
    return f"{'Removal' if plan.destroy else 'Plan'} of {plan.project}/{plan.stack}{where}"


def _length(found: Sequence[Disturbance]) -> int:
    """Seconds from the beginning to the end of the last window."""
    return max((d.begins + d.seconds for d in found if d.seconds), default=0)


def _graph(graph: Graph, shown: Sequence[Change]) -> str:
    """The drawing, as markup that is safe; empty where it cannot be made."""
    if not can_lay_out():
        return ""
    from markupsafe import Markup

    from dbc_iac.report.drawing import svg_of_page

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
    "text": _searched, "window": window_length,
}  # fmt: skip
