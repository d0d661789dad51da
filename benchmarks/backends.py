"""Cost of an apply on each backend by the number of VMs: processor seconds, bytes written, requests to its server.

    python -m benchmarks.backends [VMS ...]

The backends are real servers on this machine, as in the tests. The row of `local` is the cost of the apply itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import obstore

from benchmarks.fleet import fleet
from benchmarks.table import HEAD, Row, machine
from dbc_iac.state.backends import local
from dbc_iac.state.backends.postgres import _Statements
from tests.projects import PROJECT
from tests.state.servers import postgres, s3, terraform_http

COUNTS = (250, 1000)
BACKENDS = ("local", "local, encrypted", "http", "postgres", "objectstore")


@contextmanager
def counted() -> Iterator[list[int]]:
    """Bytes and number of writes, statements and requests of objects while the block runs."""
    total = [0, 0]

    def counting(really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            values = [*given, *named.values()]
            parts = [v for v in values if isinstance(v, bytes)] + [b for v in values if isinstance(v, list) for b in v]
            total[0] += sum(len(p) for p in parts if isinstance(p, bytes))
            total[1] += 1
            return really(*given, **named)

        return call

    with ExitStack() as patches:
        for owner, name in ((local, "write_all"), (_Statements, "__call__"), (obstore, "put"), (obstore, "get")):
            patches.enter_context(patch.object(owner, name, counting(getattr(owner, name))))
        yield total


def measured(backend: str, count: int) -> Row:
    """The cost of an apply of `count` VMs."""
    with tempfile.TemporaryDirectory() as folder, terraform_http.served() as (address, documents), counted() as total:
        emulated = fleet(Path(folder), count)
        specs: dict[str, dict[str, Any]] = {
            "http": {"backend": "http", "address": address},
            "postgres": {"backend": "postgres", "address": postgres.address(), "schema": f"b_{uuid.uuid4().hex}"},
            "objectstore": {
                "backend": "objectstore",
                "address": f"s3://{s3.BUCKET}/{uuid.uuid4().hex}",
                "endpoint": s3.endpoint(),
                "region": "us-east-1",
                "credentials": {key: {"env": key.upper()} for key in s3.KEYS},
            },
        }
        spec = specs.get(backend, {"backend": "local"})
        emulated.project.environ |= {key.upper(): value for key, value in s3.KEYS.items()} | {"KEY": "ab" * 32}
        encryption = "  encryption: {key: {env: KEY}}\n" if "encrypted" in backend else ""
        emulated.project.write({"dbc-iac.yaml": f"{PROJECT}  state: {json.dumps(spec)}\n{encryption}"})
        began = time.process_time()
        result = emulated.run("apply", "--yes", "--json")
        seconds = time.process_time() - began
        assert result.code == 0, result.err[-2000:]
        written, requests = (documents.written, documents.requests) if backend == "http" else total
        emulated.close()
    return Row(
        f"apply on {backend}, {count} VMs",
        f"{1000 * seconds / count:.1f} ms of a processor, {written / count:.0f} bytes and {requests / count:.2f} "
        f"{'writes' if backend.startswith('local') else 'requests'} a VM",
    )


def rows(counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    return (measured(name, number) for number in counts for name in BACKENDS)


if __name__ == "__main__":
    print(machine())
    print(HEAD)
    for row in rows([int(a) for a in sys.argv[1:]] or COUNTS):
        print(row, flush=True)
