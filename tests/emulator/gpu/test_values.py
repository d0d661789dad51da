"""Sizes, C integers, filters, forwards, address ranges: pure functions against values seen on real nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.emulator.gpu.ctext import atoi, int32_of, is_ip, port_number, split, text_of
from dbc_iac.emulator.gpu.filters import apply_filters
from dbc_iac.emulator.gpu.forwarding import _range
from dbc_iac.emulator.gpu.lan_requests import address_range
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.sizes import format_bytes, format_kib, format_percent
from dbc_iac.emulator.gpu.states import DomainState, Status, rebuilt, reconciled
from dbc_iac.emulator.reply import ProcessDied

GIB = 1024**2


@pytest.mark.parametrize(
    ("kib", "text"),
    [
        (0, "0K"),
        (198, "198K"),
        (18_368, "17.94M"),
        (8 * GIB, "8G"),
        (GIB // 2, "512M"),
        (int(7.8125 * GIB), "7.81G"),
        (400 * GIB + 65_536, "400.06G"),
        (32_654 * GIB, "31.89T"),
        (1025 * GIB, "1T"),
        (1028 * GIB, "1T"),
        (1500 * GIB, "1T"),
        (1501 * GIB, "1.47T"),
        (2000 * GIB, "1T"),
        (4100 * GIB, "4T"),
    ],
)
def test_a_size_is_rounded_as_the_node_rounds_it(kib: int, text: str) -> None:
    assert format_kib(kib) == text


def test_sizes_capped_at_g_are_exact() -> None:
    assert [format_kib(n * GIB, "G") for n in (1, 1500, 32_654)] == ["1G", "1500G", "32654G"]


def test_file_sizes_lose_the_bytes_below_a_kib() -> None:
    assert [format_bytes(n) for n in (203_016, 196_656, 18_808_832)] == ["198K", "192K", "17.94M"]


def test_a_share_of_zero_is_not_a_number() -> None:
    assert (format_percent(1, 0), format_percent(1.06, 23.54)) == ("nan%", "4.5%")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8G", 8),
        ("abc", 0),
        ("", 0),
        (" -5x", -5),
        ("0.5", 0),
        ("99999999999999", 276_447_231),
        ("99999999999999999999999", -1),
    ],
)
def test_numbers_are_parsed_like_atoi(text: str, number: int) -> None:
    assert atoi(text) == number


@given(st.integers(-(2**31), 2**31 - 1), st.text(alphabet="xG .", max_size=3))
def test_a_number_is_parsed_independently_of_its_suffix(number: int, tail: str) -> None:
    assert atoi(f"{number}{tail}") == number


def test_ports_wrap() -> None:
    assert [port_number(text) for text in ("70000", "65536", "22")] == [4464, 0, 22]


@pytest.mark.parametrize(("value", "read"), [(20, 20), (20.0, None), ("20", None), (2**31, None), (True, None)])
def test_only_small_json_integers_are_integers(value: object, read: int | None) -> None:
    assert int32_of({"size": value}, "size") == read


def test_a_text_ends_at_its_first_nul_and_must_be_a_text() -> None:
    assert text_of({"a": "x\0y", "b": 5}, "a") + text_of({"b": 5}, "b") == "x"


def test_empty_parts_are_dropped() -> None:
    assert split("1.2.3.4//24", "/") == ["1.2.3.4", "24"]


@pytest.mark.parametrize(
    ("text", "good"), [("203.0.113.7", True), ("1.2.3", False), ("::1", True), ("0:0::1", False), ("01.2.3.4", False)]
)
def test_addresses_must_be_canonical(text: str, good: bool) -> None:
    assert is_ip(text) is good


@pytest.mark.parametrize(
    ("entry", "accepted"),
    [
        ("in,tcp,22,0.0.0.0/0,accept", True),
        ("out,all,all,0.0.0.0/0,accept", True),
        ("in,tcp,all,0.0.0.0/0,accept", False),
        ("in,udp,1-x,0.0.0.0/0,accept", False),
        ("in,tcp,20-30,10.0.0.0/8,drop", True),
        ("sideways,tcp,all,0.0.0.0/0,accept", True),
        ("in,gre,1,0.0.0.0/0,accept", True),
        ("nonsense", True),
    ],
)
def test_a_wrong_filter_is_dropped_and_a_wrong_port_refused(entry: str, accepted: bool) -> None:
    assert apply_filters(["in,tcp,22,0.0.0.0/0,accept", entry]) is accepted


def test_an_unknown_protocol_with_an_address_crashes_the_process() -> None:
    with pytest.raises(ProcessDied):
        apply_filters(["in,tcp,all,0.0.0.0/0,accept", "in,gre,1,10.0.0.1/32,accept"])


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("123", ("123", "123")),
        ("111:222", ("111", "222")),
        ("333-444", ("333:444", "333-444")),
        ("555-666:777-888", ("555:666", "777-888")),
        ("x", None),
    ],
)
def test_custom_ports_that_work(spec: str, found: tuple[str, str] | None) -> None:
    assert _range(spec) == found


@pytest.mark.parametrize(
    ("cidr", "ends"),
    [
        ("192.168.66.0/24", ("192.168.66.1", "192.168.66.254")),
        ("192.168.66.128/25", ("192.168.66.129", "192.168.66.254")),
        ("192.168.66.0/40", ("192.0.0.1", "192.255.255.254")),
        ("10.0.0.0/8", ("10.0.0.1", "10.255.255.254")),
        ("10.1.2.3/x", ("10.1.2.4", "10.1.2.2")),
    ],
)
def test_a_prefix_counts_modulo_32(cidr: str, ends: tuple[str, str]) -> None:
    assert address_range(cidr) == ends


@pytest.mark.parametrize(
    ("cidr", "text"),
    [
        ("192.168.66.0", "invalid ip cidr"),
        ("::1/24", "invalid ip cidr"),
        ("192.168.122.0/24", "ip cidr already exist"),
    ],
)
def test_a_wrong_cidr_is_refused(cidr: str, text: str) -> None:
    with pytest.raises(Refused, match=text):
        address_range(cidr)


@pytest.mark.parametrize("cidr", ["abc/24", "300.1.1.1/24"])
def test_an_unparsable_address_crashes_the_process(cidr: str) -> None:
    with pytest.raises(ProcessDied):
        address_range(cidr)


_SETTLED = {Status.CLOSED, Status.RUNNING, Status.PMSUSPEND}


@given(st.sampled_from(Status), st.sampled_from(DomainState))
def test_only_settled_statuses_are_corrected_and_only_once(status: Status, state: DomainState) -> None:
    corrected = reconciled(status, state)
    assert status in _SETTLED or corrected is status
    assert reconciled(corrected, state) is corrected


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (DomainState.SHUTOFF, Status.CLOSED),
        (DomainState.CRASHED, Status.CLOSED),
        (DomainState.PAUSED, Status.RUNNING),
        (DomainState.PMSUSPENDED, Status.PMSUSPEND),
        (DomainState.BLOCKED, Status.NONE),
    ],
)
def test_a_restart_derives_the_status_from_the_domain(state: DomainState, status: Status) -> None:
    assert rebuilt(state) is status
