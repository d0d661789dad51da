"""The environment of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbc_iac.controller.child_process import environment, secrets_of
from dbc_iac.diagnostics import DiagnosticError


def test_a_run_gets_the_secrets_of_its_stack_and_nothing_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBC_IAC_DATABASE", "canary")
    monkeypatch.setenv("GIT_TOKEN", "canary")
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/SEED").write_text("seed\n")
    (tmp_path / "SEED").symlink_to("..data/SEED")  # as in a volume of Kubernetes
    (tmp_path / "PATH").write_text("/tmp/canary")
    (tmp_path / "no-name.txt").write_text("canary")
    made = environment(secrets_of(tmp_path), tmp_path / "home", "host:1")
    assert made["SEED"] == "seed"
    assert "canary" not in json.dumps(made)
    assert set(made) <= {
        "SEED",
        "PATH",
        "LANG",
        "TZ",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HOME",
        "XDG_CACHE_HOME",
        "USER",
    }
    with pytest.raises(DiagnosticError, match="cannot read secrets"):
        secrets_of(tmp_path / "missing")
