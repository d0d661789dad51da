"""Rules, calls and capabilities of kinds agree. Each field by itself is tested by `test_fields`."""

from __future__ import annotations

from itertools import combinations
from typing import Any, get_args

import pytest

from dbc_iac.api.requests import CreateVm, ModifyVm
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.json import Json
from dbc_iac.kinds import MODELS, Inventory, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Child, FileProvider, Host, IdFromNode, Marked, UsesCapacity
from dbc_iac.kinds.framework.goal import Needs
from dbc_iac.kinds.framework.kind import Kind
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import SpecField
from dbc_iac.kinds.virtual_machine.goals import SENT
from dbc_iac.kinds.virtual_machine.kind import HIDDEN
from tests.kinds.samples import IN_PLACE, Change, fields_of_all_kinds

NEEDS = {
    Behaviour.ONLINE: Needs.ANY,
    Behaviour.OFFLINE: Needs.OFF,
    Behaviour.COLD_BOOT: Needs.OFF,
    Behaviour.RUNNING: Needs.RUNNING,
}


@pytest.mark.parametrize(
    ("kind", "field"),
    [pytest.param(k, f, id=f"{k.name}.{f.path}") for k, f in fields_of_all_kinds() if f.rule.behaviour in NEEDS],
)
def test_a_goal_needs_its_vm_as_the_rule_says(kind: Kind[Any], field: SpecField) -> None:
    needs = {goal.needs for goal in Change(kind).update(field.path)}
    assert needs - {Needs.ANY} == {NEEDS[field.rule.behaviour]} - {Needs.ANY}


def test_modify_calls_send_every_field_that_they_change() -> None:
    vm = kind_of("VirtualMachine")
    changed = {f.path for f in vm.fields if f.rule.behaviour in {Behaviour.ONLINE, Behaviour.COLD_BOOT}}
    sent = {f"new_{SENT[path].key}" for path in changed - {vm.power_field}}
    assert sent == set(ModifyVm.__struct_encode_fields__)


@pytest.mark.parametrize(
    "pair",
    list(combinations(sorted(f.path for _, f in fields_of_all_kinds() if f.rule.behaviour is Behaviour.COLD_BOOT), 2)),
)
def test_a_modify_call_changes_one_field_of_a_cold_boot(pair: tuple[str, str]) -> None:
    values: dict[str, Any] = {f"new_{SENT[path].key}": 6000 for path in pair}
    with pytest.raises(UnsafeWireValue, match="at most one"):
        ModifyVm(new_public_ip="", **values)


def test_every_key_of_a_creation_is_sent() -> None:
    by_other_names = {"task_id", "desc", "network_name", "interface_model_type"}
    assert {sent.key for sent in SENT.values()} | by_other_names == set(CreateVm.__struct_encode_fields__)


def test_a_field_that_can_be_cleared_in_place_has_a_value_for_that() -> None:
    """A request leaves out a value that is None. The public IP is sent with every call, also when it is empty."""
    vm = kind_of("VirtualMachine")
    in_place = {f for f in vm.fields if f.path in SENT.keys() - {"publicIp"} and f.rule.behaviour in IN_PLACE}
    unclear = {f.path for f in in_place if not f.rule.no_clear and _cleared(vm.spec, f.attributes) is None}
    assert unclear == set()


def _cleared(model: Any, attributes: tuple[str, ...]) -> object:
    """The default of a field; a part that is left out clears nothing."""
    field = model.model_fields[attributes[0]]
    if attributes[1:]:
        part = next(a for a in (*get_args(field.annotation), field.annotation) if hasattr(a, "model_fields"))
        return _cleared(part, attributes[1:])
    return field.get_default(call_default_factory=True)


def test_the_marker_has_the_digest_of_every_field_that_the_api_never_shows() -> None:
    replaced = [f for f in kind_of("VirtualMachine").fields if f.rule.behaviour is Behaviour.REPLACE]
    assert {f.path for f in replaced if f.rule.not_reported} | {"dataDisk.file"} == set(HIDDEN)
    other: dict[str, dict[str, Json]] = {
        "": {},
        "image": {"image": "b.qcow2"},
        "biosMode": {"biosMode": "uefi"},
        "multicast": {"multicast": ["239.1.2.3:5000"]},
        "nicModel": {"nicModel": "e1000"},
        "dataDisk.file": {"dataDisk": {"size": "10Gi", "file": "b.qcow2"}},
    }
    assert other.keys() == {"", *HIDDEN}
    assert len({_marker(given) for given in other.values()}) == len(other)


def _marker(given: dict[str, Json]) -> str:
    node = {"id": "a" * 64, "identity": "tenant", "rentOrder": "112"}
    ports: dict[str, Json] = {"ssh": 20022, "vnc": 20001}
    vm = {"node": "a", "image": "a.qcow2", "gpus": 1, "cpus": 4, "memory": "8Gi", "ports": ports, **given}
    resources = {
        f"{kind}/a": Resource(f"{kind}/a", kind, "a", kind_of(kind).spec.model_validate(spec))
        for kind, spec in {"Node": node, "VirtualMachine": vm}.items()
    }
    inventory = Inventory("lab", "00", "main", resources)
    kind = kind_of("VirtualMachine")
    assert isinstance(kind, Marked)
    return kind.marker(resources["VirtualMachine/a"], inventory, 1)


def test_ports_of_the_rules_are_those_of_the_capacity() -> None:
    vm = kind_of("VirtualMachine")
    assert isinstance(vm, UsesCapacity)
    values: dict[str, Json] = {"ports.ssh": 1, "ports.rdp": 2, "ports.vnc": 3, "ports.forward": ["udp,4"]}
    assert vm.port_fields == values.keys()
    assert vm.capacity(values).ports == {("tcp", 1), ("tcp", 2), ("tcp", 3), ("udp", 4)}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_capabilities_name_fields_of_their_kind(name: str) -> None:
    kind = kind_of(name)
    paths = {f.path: f for f in kind.fields}
    assert isinstance(kind, Child) == (kind.parent_field != "")
    if isinstance(kind, Child):
        assert (reference := paths[kind.parent_field].reference) is not None
        assert isinstance(kind_of(reference.kind), Host)
    assert kind.power_field == ("power" if "power" in paths else "")
    if isinstance(kind, Host):
        assert {kind.power_field, kind.order_field} <= paths.keys()
    assert isinstance(kind, IdFromNode) == (type(kind).identity is Kind.identity and not kind.read_only)
    if isinstance(kind, FileProvider):
        assert kind.file_field in {"", *paths}


@pytest.mark.parametrize("name", sorted(n for n in MODELS if not kind_of(n).read_only))
def test_a_kind_that_can_be_created_binds_its_object(name: str) -> None:
    made = Change(kind_of(name))
    goals = made.creation()
    assert [g.creates for g in goals].count(True) == 1
    assert all(g.address == f"{name}/a" and g.route == made.task().route for g in goals)
