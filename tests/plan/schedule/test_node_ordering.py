"""Order of many steps on one machine."""

from __future__ import annotations

from tests.plan.case import Case

COUNT = 50


def test_each_of_many_uploads_waits_for_its_predecessor() -> None:
    exports = {f"ImageExport/e{n:02}": {"file": f"f{n}.qcow2"} for n in range(COUNT)}
    images = {f"Image/i{n:02}": {"file": f"g{n}.qcow2"} for n in range(COUNT)}
    steps = Case({"manifests": {"Node/gpu-a": {}, **images, **exports}}).plan().steps
    assert [s.address for s in steps[-COUNT:]] == [*exports]
    assert steps[COUNT].after == tuple(sorted(images))
    assert [s.after for s in steps[COUNT + 1 :]] == [(s.key,) for s in steps[COUNT:-1]]
