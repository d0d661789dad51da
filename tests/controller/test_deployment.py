"""The deployment files: they can be read, their commands and secrets fit each other, and their metrics exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from dbc_iac.cli.commands.controller.run import command
from dbc_iac.controller.fleet import load_fleet
from dbc_iac.controller.records import Phase, QueueLength, SourceStatus, StackStatus
from dbc_iac.controller.web.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "dbc-iac-controller.service"
MANIFESTS = [*yaml.load_all((DEPLOY / "kubernetes.yaml").read_text(), Loader=yaml.CSafeLoader)]
POD = MANIFESTS[0]["spec"]["template"]["spec"]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RULES = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
PAGE = (ROOT / "docs/controller.md").read_text()


def commands() -> Iterator[list[str]]:
    """The arguments of each deployment."""
    [start] = re.findall(r"^ExecStart=\S+ (.+)$", UNIT.read_text(), re.MULTILINE)
    yield start.split()
    yield POD["containers"][0]["args"]
    for name in ("worker-1", "worker-2"):
        yield COMPOSE["services"][name]["command"]


def metrics_text() -> bytes:
    """The answer of `/metrics` with every metric."""
    now, metrics = datetime.now(UTC), Metrics()
    stack = StackStatus(
        "a",
        "f",
        "s",
        {},
        False,
        False,
        "",
        "",
        "",
        "",
        "synced",
        False,
        "",
        0,
        now,
        now,
        1,
        False,
        now,
        None,
        False,
        None,
    )
    metrics._runs.labels("applied").observe(1)
    metrics._calls.labels("read", "done").inc()
    return metrics.text("f", [stack], [SourceStatus("s", {}, 0, None)], QueueLength())


def test_each_deployment_starts_a_worker_with_the_fleet_file_and_enough_time_to_end() -> None:
    for group, name, *arguments in commands():
        assert (group, name) == ("controller", "run")
        found = command.make_context("run", list(arguments), obj=SimpleNamespace()).params
        assert (str(found["fleet"]), found["workers"]) == ("/etc/dbc-iac/fleet.yaml", 4)
        assert found["listen"].endswith(":8080")
    assert "TimeoutStopSec=900" in UNIT.read_text()
    assert POD["terminationGracePeriodSeconds"] == 900
    assert COMPOSE["services"]["worker-1"]["stop_grace_period"] == "15m"


def test_each_container_gets_the_secrets_of_the_fleet_file_and_no_rights() -> None:
    fleet = load_fleet(DEPLOY / "fleet.yaml", {})
    needed = set(re.findall(r"\{env: (\w+)\}", (DEPLOY / "fleet.yaml").read_text()))
    assert fleet.spec.web.token is not None
    [container] = POD["containers"]
    assert needed <= {entry["name"] for entry in container["env"]}
    assert all("valueFrom" in entry for entry in container["env"] if entry["name"] in needed)
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {f"/etc/dbc-iac/{given.directory}" for given in fleet.spec.secrets.values()} <= mounts
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}
    assert POD["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert POD["automountServiceAccountToken"] is False
    for name in ("worker-1", "worker-2"):
        worker = COMPOSE["services"][name]
        assert needed <= worker["environment"].keys()
        assert worker["read_only"]
        assert worker["cap_drop"] == ["ALL"]
    probes = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert probes == {"/healthz", "/readyz"}
    [names] = [
        entry["files"] for entry in yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["configMapGenerator"]
    ]
    assert all((DEPLOY / name).is_file() for name in names)


def test_the_compose_file_fits_its_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_kustomize_renders_the_manifests_with_the_fleet_file() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    ran = subprocess.run(["kubectl", "kustomize", str(DEPLOY)], capture_output=True, text=True, check=True)
    made = {document["kind"]: document for document in yaml.safe_load_all(ran.stdout)}
    assert made.keys() == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    assert made["ConfigMap"]["data"]["fleet.yaml"] == (DEPLOY / "fleet.yaml").read_text()
    volumes = {volume["name"]: volume for volume in made["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["fleet"]["configMap"]["name"] == made["ConfigMap"]["metadata"]["name"]


def test_the_unit_is_accepted_by_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/dbc-iac/bin/dbc-iac", "/bin/true"))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_dashboard_and_the_alerts_use_metrics_that_exist() -> None:
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [variable["query"] for variable in dashboard["templating"]["list"]]
    expressions += [rule["expr"] for rule in RULES]
    used = {name for text in expressions for name in re.findall(r"dbc_iac_\w+", text)}
    assert used <= set(re.findall(r"^(dbc_iac_\w+)", metrics_text().decode(), re.MULTILINE))
    phases = {name for text in expressions for name in re.findall(r'phase="([^"$]+)"', text)}
    assert phases <= set(Phase)
    positions = [tuple(panel["gridPos"][key] for key in "xy") for panel in dashboard["panels"]]
    assert len(set(positions)) == len(positions)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_promtool_accepts_the_metrics_and_each_alert_fires() -> None:
    cases = Path(__file__).with_name("alerts.yaml")
    for arguments, given in (
        (["check", "metrics"], metrics_text()),
        (["check", "rules", str(DEPLOY / "alerts.yaml")], b""),
        (["test", "rules", str(cases)], b""),
    ):
        ran = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False)
        assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()
    tested = yaml.safe_load(cases.read_text())["tests"][1:]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if "exp_alerts" in case}
    assert fired == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_the_documentation_has_an_answer_to_each_alert(rule: dict[str, Any]) -> None:
    assert f"| `{rule['alert']}` |" in PAGE
