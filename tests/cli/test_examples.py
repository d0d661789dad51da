"""Every example is applied, converges and is destroyed, on its own world file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.projects import SEED, Emulated, Project

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRETS = {
    "DBC_WALLET_SEED": SEED,
    "DBC_MANAGER_KEY": "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55",
    "TRAINER_PASSWORD": "made-up-password",
    "RACK1_IPMI": "made-up-ipmi",
}
CASES = [
    ("one-gpu-vm", (), 1),
    ("training-cluster", ("-e", "dev"), 7),
    ("training-cluster", ("-e", "prod"), 7),
    ("four-orders", (), 4),
    ("windows-rdp", (), 1),
    ("public-address", (), 1),
    ("bare-metal-inventory", (), 2),
]


def test_every_example_has_a_case() -> None:
    assert {c[0] for c in CASES} == {p.name for p in EXAMPLES.iterdir() if p.is_dir()}


@pytest.mark.parametrize(("name", "options", "count"), CASES, ids=[f"{c[0]}{'-'.join(c[1])}" for c in CASES])
def test_an_example_converges_and_is_destroyed(tmp_path: Path, name: str, options: tuple[str, ...], count: int) -> None:
    copy = tmp_path / name
    shutil.copytree(EXAMPLES / name, copy)
    world: Mapping[str, object] = yaml.safe_load((copy / "world.yaml").read_text())
    emulated = Emulated(Project(copy, dict(SECRETS)), {"orders": {}, "gpuNodes": [], "wallets": [], **world})
    result = emulated.run(*options, "apply", "--yes")
    assert result.code == 0, result.out + result.err
    assert f"{count} created, 0 updated, 0 deleted." in result.out
    result = emulated.run(*options, "plan", "--detailed-exitcode")
    assert result.code == 0, result.out + result.err
    servers = [f"--destroy-identity=BareMetalServer/rack1.{n}" for n in ("07", "08") if name.startswith("bare")]
    result = emulated.run(*options, "destroy", "--yes", *servers)
    assert result.code == 0, result.out + result.err
    assert not emulated.left
    emulated.close()
