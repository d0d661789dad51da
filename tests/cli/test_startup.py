"""Modules that a command must not import: they are most of the time of a short one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import SEED, project, vm

_RUN = """
import json, sys
from dbc_iac.__main__ import main
sys.argv[0] = "dbc-iac"
try:
    main()
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
ALWAYS = {
    "rich", "pygments", "deepdiff", "igraph", "bip39", "obstore", "psycopg", "jinja2", "dbc_iac.emulator",
    "dbc_iac.apply", "starlette", "uvicorn", "prometheus_client", "procrastinate",
    "httpx", "httpcore", "anyio", "h11", "importlib.metadata",
}  # fmt: skip
OFFLINE = ALWAYS | {"nacl", "httptools"}
VERSION = OFFLINE | {"pydantic", "yaml", "asyncio", "dbc_iac.manifest.load", "dbc_iac.kinds"}
OTHER_KINDS = {
    f"dbc_iac.kinds.{name}" for name in ("bare_metal.instance", "disk", "images.image", "snapshots.snapshot")
} | {"dbc_iac.api.endpoints.bare_metal", "dbc_iac.api.endpoints.images", "dbc_iac.api.storage_responses"}


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--version"], VERSION),
        (["validate"], OFFLINE | OTHER_KINDS),
        (["plan", "--refresh=false"], OFFLINE | OTHER_KINDS),
        (["plan"], ALWAYS | OTHER_KINDS),
        (["apply", "--yes"], (ALWAYS | OTHER_KINDS | {"nacl"}) - {"dbc_iac.apply"}),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_use(
    tmp_path: Path, arguments: list[str], forbidden: set[str]
) -> None:
    made = project(tmp_path, vm())
    made.write({"dbc-iac.yaml": (tmp_path / "dbc-iac.yaml").read_text().replace(":5050", ":1")})  # refuses connections
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=tmp_path,
        env={"SEED": SEED, "XDG_CACHE_HOME": str(tmp_path / ".cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(ran.stderr.splitlines()[-1]))
    assert modules & forbidden == set(), ran.stderr[:500]
