"""Each field of each kind is sent, recorded and read as its rule says: a field that a kind forgets fails here.

Fields are varied one at a time between two samples of their type.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dbc_iac.api.idempotency import CallClass
from dbc_iac.kinds import MODELS, kind_of
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.kind import Kind
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import Spec, SpecField, rules_under
from tests.kinds.samples import IN_PLACE, NOT_SENT, Change, fields_of_all_kinds, is_sent
from tests.kinds.shown import SCENES, Scene

SEEN = {"vm-under-order": "its look reads the order, under which the start at the end of its window puts the VM"}
"""Goals that record what they read, with the reason."""
ELSEWHERE = {
    "BareMetalInstance.server": "names the target once the server is registered",
    "BareMetalManager.insecureHttp": "allows a `url`",
    "Image.snapshot": "names the file in place of `file`",
    "Node.portRange": "ports that `auto` takes",
    "VirtualMachine.id": "names an external VM",
}
"""Fields of access without an effect of their own, with their effect."""
FOR_IMPORT = {"VirtualMachine.login.username": "the API shows the account of the image, also where another one was set"}
"""Fields that are read and not compared, with the reason."""
Goals = Callable[[frozenset[str]], list[Goal]]
"""Goals of a change of a resource with the second sample in these fields."""


def chosen(choose: Callable[[Kind[Any], SpecField], bool]) -> list[Any]:
    return [pytest.param(k, f, id=f"{k.name}.{f.path}") for k, f in fields_of_all_kinds() if choose(k, f)]


def changes_in_place(kind: Kind[Any], field: SpecField) -> bool:
    return field.rule.behaviour in IN_PLACE


@pytest.mark.parametrize(("kind", "field"), chosen(is_sent))
def test_a_creation_sends_every_field(kind: Kind[Any], field: SpecField) -> None:
    first, second = Change(kind), Change(kind, frozenset({field.path}))
    assert first.requests(first.creation()) != second.requests(second.creation()), f"no call has {field.path}"


@pytest.mark.parametrize(("kind", "field"), chosen(changes_in_place))
def test_an_update_has_a_goal_that_records_the_field(kind: Kind[Any], field: SpecField) -> None:
    goals = Change(kind).update(field.path)
    assert field.path in {path for goal in goals for path in goal.fields}


@pytest.mark.parametrize(("kind", "field"), chosen(lambda k, f: changes_in_place(k, f) and is_sent(k, f)))
def test_an_update_sends_the_field(kind: Kind[Any], field: SpecField) -> None:
    first, second = Change(kind), Change(kind, frozenset({field.path}))
    sent, other = (c.requests(c.window(c.update(field.path))) for c in (first, second))
    assert sent != other, f"no call has {field.path}"


@pytest.mark.parametrize(("kind", "field"), chosen(lambda _, f: f.rule.behaviour is Behaviour.ONCE))
def test_an_update_of_a_trigger_makes_a_call(kind: Kind[Any], field: SpecField) -> None:
    change = Change(kind, frozenset({field.path}))
    assert change.requests(change.window(change.update(field.path)))


def unsent(kind: Kind[Any], goals: Goals) -> Iterator[str]:
    """Fields that a goal records as applied, and that its requests do not have."""
    first = Change(kind)
    for field in (f for f in kind.fields if is_sent(kind, f)):
        second = Change(kind, frozenset({field.path}))
        before, after = ({g.name: g for g in goals(c.second)} for c in (first, second))
        for name in before | after:
            records = [c[name].fields.get(field.path) if name in c else None for c in (before, after)]
            if records[0] != records[1] and name not in SEEN:
                sides = zip((first, second), (before, after), strict=True)
                sent = [side.requests([c[name]] if name in c else []) for side, c in sides]
                if sent[0] == sent[1]:
                    yield f"{name} records {field.path}"


KINDS = [kind_of(name) for name in sorted(MODELS)]
CREATED = [kind for kind in KINDS if not kind.read_only]


@pytest.mark.parametrize("kind", CREATED, ids=lambda k: k.name)
def test_a_goal_of_a_creation_records_only_what_it_sends(kind: Kind[Any]) -> None:
    assert [*unsent(kind, lambda second: Change(kind, second).creation())] == []


@pytest.mark.parametrize(("kind", "changed"), chosen(changes_in_place))
def test_a_goal_of_an_update_records_only_what_it_sends(kind: Kind[Any], changed: SpecField) -> None:
    assert [*unsent(kind, lambda second: Change(kind, second).update(changed.path))] == []


def is_access(kind: Kind[Any], field: SpecField) -> bool:
    return field.rule.behaviour is Behaviour.ACCESS and field.attributes[0] not in Spec.model_fields


@pytest.mark.parametrize(("kind", "field"), chosen(is_access))
def test_a_field_of_access_has_an_effect(kind: Kind[Any], field: SpecField) -> None:
    first, second = Change(kind), Change(kind, frozenset({field.path}))
    effects = [(c.task(), c.resource.external) for c in (first, second)]
    assert (effects[0] == effects[1]) is (f"{kind.name}.{field.path}" in ELSEWHERE)


def test_exceptions_are_fields_that_no_request_has() -> None:
    fields = {f"{k.name}.{f.path}": (k, f.path) for k, f in fields_of_all_kinds()}
    assert {*ELSEWHERE, *FOR_IMPORT} <= fields.keys()
    for name in NOT_SENT:
        kind, path = fields[name]
        first, second = Change(kind), Change(kind, frozenset({path}))
        assert first.requests(first.creation()) == second.requests(second.creation())


def test_goals_that_record_what_they_read_make_no_call() -> None:
    order = Change(kind_of("VirtualMachine")).update("rentOrder")
    assert {g.name for g in order if g.call_class is CallClass.READ} == SEEN.keys()


def observed_changes(kind: Kind[Any], scene: Scene) -> set[str]:
    """Fields whose observed value changes with any value of a scene."""

    def observe(shown: Scene) -> dict[str, Any]:
        seen = asyncio.run(kind.observe(shown.lookup, shown.reader))
        secrets = {path: secret.reveal() for path, secret in seen.secrets.items()}
        return {**seen.made_with, **seen.values, **secrets} if seen.present else {}

    first = observe(scene)
    varied = [observe(other) for other in scene.varied()]
    return {path for values in varied for path in first.keys() & values.keys() if first[path] != values[path]}


def is_located_by(kind: Kind[Any], field: SpecField) -> bool:
    """Whether a field says where the object is looked for: then one that is found has its value."""
    return field.reference is not None and Change(kind).location != Change(kind, frozenset({field.path})).location


@pytest.mark.parametrize(
    ("kind", "scene"), [pytest.param(kind, s, id=s.name) for kind in CREATED for s in SCENES[kind.name]]
)
def test_every_field_that_the_api_shows_is_read(kind: Kind[Any], scene: Scene) -> None:
    spec: type[Spec] = kind.spec
    never = {Behaviour.ACCESS, Behaviour.ONCE}
    fields = [(f, rule) for f, rule in rules_under(spec, scene.facts) if f.rule.behaviour not in never]
    shown = {f.path for f, rule in fields if not rule.not_reported and not is_located_by(kind, f)}
    hidden = {f.path for f, rule in fields if rule.not_reported}
    for_import = {f.path for f in kind.fields if f"{kind.name}.{f.path}" in FOR_IMPORT}
    found = observed_changes(kind, scene)
    assert (shown - found, hidden & found) == (set(), for_import)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.read_only], ids=lambda k: k.name)
def test_a_kind_that_is_only_read_has_no_field_to_apply(kind: Kind[Any]) -> None:
    assert {f.path for f in kind.fields if f.rule.behaviour is not Behaviour.ACCESS} == set()
