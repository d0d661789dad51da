"""Sizes as nodes print them, of which manifests could write only the whole ones."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from dbc_iac.api.responses import VmDisk, parse_size, read
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import capacity
from dbc_iac.kinds.framework.types import gib_text, observed_gib
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.kinds.virtual_machine.reading import seen
from tests.kinds.shown import DETAILS, ROUTE, VM

SIZES = ("0K", "1K", "512M", "7.81G", "8.004G", "10.5G", "16G", "1.47T", "1024P", "1025P", "99999999999999999999P")


@pytest.mark.parametrize("printed", SIZES)
def test_any_size_that_a_node_shows_is_capacity(printed: str) -> None:
    disk = read(VmDisk, {"name": "vdb", "size": printed, "source_file": "/data/data_1.qcow2"})
    details = replace(DETAILS, mem_size=disk.size_gib, disks=(disk,))
    values = seen(Lookup("VirtualMachine/a", ROUTE, VM, 1), "running", details, None).values
    size = math.ceil(parse_size(printed) or 0)
    taken = capacity(kind_of("VirtualMachine"), values)
    assert (taken.memory, taken.space) == (size, {"/data": size})
    if size:
        assert capacity(kind_of("Disk"), {"hostDir": "/mnt", "size": values["dataDisk.size"]}).space == {"/mnt": size}


@given(st.fractions(0, 1024**3), st.integers(0, 1024**3))
@example(Fraction(1, 1024**2), 0)
@example(Fraction("9.999"), 10)
@example(Fraction("10.001"), 10)
def test_a_size_as_text_compares_with_whole_sizes_as_before(size: Fraction, whole: int) -> None:
    read_back = observed_gib(gib_text(size))
    for one in (whole, math.floor(size), math.ceil(size)):
        assert (read_back <= one) == (size <= one)
    assert 0 <= read_back - size < Fraction(1, 100)


@pytest.mark.parametrize("text", ["", "7", "7.8Gi", ".50Gi", "-1Gi", "1e3Gi", "7.81Ti", "9" * 5000 + "Gi"])
def test_other_text_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        observed_gib(text)
