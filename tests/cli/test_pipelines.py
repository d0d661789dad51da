"""Generated pipelines: valid by the forges' schemas, and their scripts, run as a forge runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from dbc_iac.cli.commands import dbc_iac
from dbc_iac.operations.pipeline_settings import PipelineSettings
from dbc_iac.operations.pipelines import UNKNOWN, pinned, pipeline
from tests.cli.forge import forge
from tests.projects import PROJECT, Project, project, vm

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "dbc_iac/operations/ci/gitlab.yaml").read_text())
EXAMPLE = ROOT / "examples/one-gpu-vm"


LARGE = PipelineSettings(("SEED", "TOKEN"), ("dev", "prod"), signed=True, paths=("dbc-iac.yaml", "env/*.yaml"))
"""Of a project with environments and signed plans."""


def test_they_fit_the_published_schemas(tmp_path: Path) -> None:
    files: dict[str, list[str]] = {"vendor.github-actions": ["action.yml"]}
    for number, settings in enumerate((None, LARGE)):
        for name, schema in (("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")):
            file = tmp_path / f"{number}-{name}.yml"
            file.write_text(next(iter(pipeline(name, settings=settings).values())))
            files.setdefault(schema, []).append(str(file))
    for schema, checked in files.items():
        more = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, *checked]
        subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
@pytest.mark.parametrize("settings", [None, LARGE], ids=["default", "large"])
def test_actionlint_finds_nothing_in_the_workflow(settings: PipelineSettings | None, tmp_path: Path) -> None:
    for name, text in pipeline("github", settings=settings).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".git").mkdir()
    subprocess.run(["actionlint", "-shellcheck=", "-pyflakes="], cwd=tmp_path, check=True)


PROJECT_OF_CI = """  environments:
    dev: {variables: [env/dev.yaml], stack: dev}
    prod: {variables: [env/prod.yaml], stack: prod}
  state: {backend: http, address: "https://state.example.org/lab", username: ci, password: {env: STATE_SECRETS}}
  trustedPlanKeys: ["PUBLIC"]
  manifests: ["manifests/*.yaml", "more/**/*.yaml"]
"""


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_pipeline_knows_the_secrets_environments_and_files_of_its_project(name: str, tmp_path: Path) -> None:
    text = PROJECT.partition("  environments:")[0] + PROJECT_OF_CI.replace("PUBLIC", "ab" * 32)
    of_prod = "{% if env == 'prod' %}LOGIN{% else %}DEV_LOGIN{% endif %}"
    made = project(tmp_path, vm(login={"password": {"env": of_prod}})).write({
        "dbc-iac.yaml": text, "env/dev.yaml": "count: 1\n", "env/prod.yaml": "count: 2\n", "more/x.yaml": "",
    })  # fmt: skip
    steps = made.run("init", "--ci", name).out
    assert "secrets DEV_LOGIN, LOGIN, SEED, STATE_SECRETS." in steps
    assert "DBC_IAC_SIGNING_KEY" in steps
    path = ".github/workflows/dbc-iac.yaml" if name == "github" else ".gitlab-ci.yml"
    written = yaml.safe_load((tmp_path / path).read_text())
    if name == "gitlab":
        named = "variables of the project: DEV_LOGIN, LOGIN, SEED, STATE_SECRETS, DBC_IAC_SIGNING_KEY, and"
        assert named in (tmp_path / path).read_text()
        assert written["plan"]["parallel"] == {"matrix": [{"DBC_IAC_ENVIRONMENT": ["dev", "prod"]}]}
        changes = written["plan"]["rules"][0]["changes"]
    else:
        jobs = written["jobs"]
        assert {"validate", "fmt", "plan", "apply", "drift"} == jobs.keys()
        matrix = {"environment": ["dev", "prod"]}
        assert [job.get("strategy", {}).get("matrix") for job in jobs.values()] == [
            matrix,
            None,
            matrix,
            matrix,
            matrix,
        ]
        secrets = {n: set(jobs[n]["steps"][1].get("env", {})) for n in jobs}
        read = {"DEV_LOGIN", "LOGIN", "SEED", "STATE_SECRETS"}
        signing = {"DBC_IAC_SIGNING_KEY"}
        assert secrets == {"validate": set(), "fmt": set(), "plan": read | signing, "apply": read, "drift": read}
        assert jobs["plan"]["steps"][1]["with"]["artifact"] == "dbc-iac-plan-${{ matrix.environment }}"
        changes = written[True]["pull_request"]["paths"]  # `on` is a boolean in YAML 1.1
    files = ["dbc-iac.yaml", "manifests/*.yaml", "more/**/*.yaml", "env/dev.yaml", "env/prod.yaml"]
    assert changes[: len(files)] == files


def test_environments_without_a_stack_are_not_planned_apart(tmp_path: Path) -> None:
    made = project(tmp_path, vm()).write({"prod.yaml": "count: 2\n"})
    assert "Give each environment a `stack` in dbc-iac.yaml" in made.run("init", "--ci", "github").out
    assert "matrix" not in (tmp_path / ".github/workflows/dbc-iac.yaml").read_text()


def test_the_hooks_are_hooks_and_their_entries_are_commands() -> None:
    file = ROOT / ".pre-commit-hooks.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-manifest", str(file)], check=True)
    for hook in yaml.safe_load(file.read_text()):
        program, command, *_ = hook["entry"].split()
        assert (program, command in dbc_iac.list_commands(dbc_iac.make_context("x", ["validate"]))) == ("dbc-iac", True)
        for name in ("manifests/vm.yaml", "infra/dbc-iac.yaml", "env/prod.yml"):
            assert re.search(hook["files"], name)


@pytest.mark.parametrize("broken", ["manifests/all.yaml", "dbc-iac.yaml"])
def test_the_hooks_look_at_projects_anywhere_and_at_nothing_else(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project(Path("infra"), vm()).write({"prod.yaml": "count:  3\n"})
    project(Path("other"), vm())
    repository = Project(Path()).write(
        {"manifests/deployment.yaml": "kind:  Deployment\n", "infra/k8s.yaml": "a:  1\n"}
    )
    _, fmt = (hook["entry"].split()[1:] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()))
    files = ["manifests/deployment.yaml", "infra/k8s.yaml", "infra/prod.yaml", "other/manifests/all.yaml"]
    assert "The configuration is valid: 4 resources." in repository.run("validate", *files).out
    repository.run(*fmt, *files)
    changed = [n for n in files if "  " not in Path(n).read_text()]
    assert {"infra/prod.yaml"} <= set(changed)
    assert Path("manifests/deployment.yaml").read_text() == "kind:  Deployment\n"
    assert Path("infra/k8s.yaml").read_text() == "a:  1\n"
    assert repository.run("validate", files[0]).out == "No project contains these files.\n"
    for command in (["validate"], fmt):
        typo = repository.run(*command, "infra/typo.yaml", "other/typo.yaml", files[3], "--json")
        assert (typo.code, typo.codes) == (3, ["unreadable-file", "unreadable-file"])
    Path("infra", broken).write_text("kind: [")
    assert repository.run("validate", files[3]).code == 0
    assert repository.run("validate", *files, "--json").codes == ["yaml-syntax"]
    assert f"infra/{broken}:2:1" in repository.run("validate", "infra/prod.yaml").err


def test_nothing_of_the_package_is_kept_from_the_image() -> None:
    kept_out = (ROOT / ".dockerignore").read_text().split()
    lost = [p for pattern in kept_out for p in ROOT.glob(pattern.lstrip("/")) if p.is_relative_to(ROOT / "dbc_iac")]
    assert {path.name for path in lost} <= {"__pycache__"}


def test_the_container_image_runs_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    sources = [s for line in lines if re.match(r"COPY (?!--from)", line) for s in line.split()[1:-1]]
    assert all((ROOT / source).exists() for source in sources)
    [install] = [line for line in lines if "pip install" in line]
    assert "'.[controller,graph,mnemonic,objectstore,postgres]'" in install
    assert "ENV HOME=/tmp" in lines, "any --user has a directory for sessions"
    assert '--user "$(id -u):$(id -g)"' in lines[0] + (ROOT / "docs/ci.md").read_text()
    assert lines.index("USER 10001") < lines.index('ENTRYPOINT ["dbc-iac"]')


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_init_writes_a_pipeline_with_a_project_or_into_one(name: str, tmp_path: Path) -> None:
    made = Project(tmp_path)
    written = made.run("init", "--ci", name, "--json").json
    assert {*pipeline(name), "dbc-iac.yaml"} <= set(written)
    assert made.run("validate").code == 0
    later = Project(tmp_path / "later")
    later.directory.mkdir()
    later.run("init")
    assert set(later.run("init", "--ci", name, "--json").json) == set(pipeline(name))
    assert later.run("init", "--ci", name).out == "The pipeline is up to date.\n"
    for path, text in pipeline(name).items():
        assert (tmp_path / path).read_text() == text


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_init_updates_its_pipeline_and_keeps_the_package_to_install(name: str, tmp_path: Path) -> None:
    made = Project(tmp_path)
    made.run("init")
    assert made.run("init", "--ci", name).code == 0
    [main, *others] = pipeline(name)
    source = "git+https://example.org/us/dbc-iac@0123"
    (tmp_path / main).write_text((tmp_path / main).read_text().replace(UNKNOWN, source))
    assert made.run("init", "--ci", name).out == "The pipeline is up to date.\n"
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("file: secrets/wallet.seed", "env: OTHER_SEED"))
    (tmp_path / others[0]).unlink()
    result = made.run("init", "--ci", name)
    assert sorted(result.out.splitlines()[:2]) == [f"updated {main}", f"wrote {others[0]}"]
    text = (tmp_path / main).read_text()
    assert [part in text for part in (source, UNKNOWN, "OTHER_SEED", "DBC_WALLET_SEED")] == [True, False, True, False]
    assert made.run("init", "--ci", name).out == "The pipeline is up to date.\n"


def test_an_edited_pipeline_is_not_overwritten(tmp_path: Path) -> None:
    made = Project(tmp_path)
    made.run("init", "--ci", "github")
    main = tmp_path / ".github/workflows/dbc-iac.yaml"
    main.write_text(edited := main.read_text().replace("17 3 * * *", "17 4 * * *"))
    action = tmp_path / ".github/actions/dbc-iac/action.yml"
    action.unlink()
    refused = made.run("init", "--ci", "github", "--json")
    assert (refused.code, refused.codes) == (3, ["project-exists"])
    assert ".github/workflows/dbc-iac.yaml already exists" in refused.err
    assert (main.read_text(), action.exists()) == (edited, False)


@pytest.mark.parametrize(("name", "moved"), [("github", ".github"), ("gitlab", ".gitlab and .gitlab-ci.yml")])
def test_a_project_below_the_root_of_a_repository_is_found_by_its_pipeline(
    name: str, moved: str, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    below = Project(tmp_path / "infra/gpu")
    below.directory.mkdir(parents=True)
    told = below.run("init", "--ci", name).out
    assert f"Move {moved} to the root of the repository" in told
    main = next(iter(pipeline(name)))
    assert 'DBC_IAC_DIRECTORY: "infra/gpu"' in (below.directory / main).read_text()
    assert "Move" not in Project(tmp_path).run("init", "--ci", name).out


def test_manual_steps_of_a_pipeline_are_listed(tmp_path: Path) -> None:
    told = Project(tmp_path).run("init", "--ci", "github").out
    assert "In .github/workflows/dbc-iac.yaml, replace OWNER and COMMIT with the source of your dbc-iac" in told
    assert "a CI runner loses its disk" in told
    later = Project(tmp_path / "later").write({".gitlab-ci.yml": "test: {script: [make]}\n"})
    later.run("init")
    file = later.directory / "dbc-iac.yaml"
    shared = "backend: http, address: 'https://state.example.org/lab'"
    file.write_text(file.read_text().replace("backend: local, path: state", shared))
    beside = later.run("init", "--ci", "gitlab").out
    assert "wrote .gitlab/dbc-iac.yml\n" in beside
    assert "Replace `file: secrets/wallet.seed` by `env: NAME`: a CI runner has no such file." in beside
    assert "In .gitlab-ci.yml, add `include: [{local: .gitlab/dbc-iac.yml}]`" in beside
    assert "a CI runner loses its disk" not in beside
    assert (later.directory / ".gitlab-ci.yml").read_text() == "test: {script: [make]}\n"
    assert (later.directory / ".gitlab/dbc-iac.yml").read_text() == pipeline("gitlab", beside=True)[
        ".gitlab/dbc-iac.yml"
    ]


@pytest.mark.parametrize(
    ("noted", "source"),
    [
        ({"url": "https://example.org/us/dbc-iac", "vcs_info": {"vcs": "git", "commit_id": "0123"}}, "git+https://example.org/us/dbc-iac@0123"),
        ({"url": "https://me:token@example.org/dbc-iac", "vcs_info": {"vcs": "git", "commit_id": "0123"}}, UNKNOWN),
        ({"url": "ssh://git@example.org/dbc-iac", "vcs_info": {"vcs": "git", "commit_id": "0123"}}, UNKNOWN),
        ({"url": "file:///home/me/dbc-iac", "dir_info": {"editable": True}}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)  # fmt: skip
def test_a_pipeline_installs_what_init_came_from_where_that_can_be_pinned(noted: dict[str, Any], source: str) -> None:
    assert pinned(noted) == source
    text = pipeline("gitlab", source)[".gitlab-ci.yml"]
    assert f'DBC_IAC_PACKAGE: "dbc-iac[graph,mnemonic,objectstore,postgres] @ {source}"' in text


@pytest.mark.parametrize(
    ("environ", "state", "warned"),
    [
        ({"CI": "true"}, "{path: state}", True),
        ({"GITHUB_ACTIONS": "true"}, "{path: state}", True),
        ({"GITLAB_CI": "true", "CI": "false"}, "{path: state}", True),
        ({"CI": ""}, "{path: state}", False),
        ({"CI": "true"}, "{path: ABSOLUTE}", False),
    ],
)
def test_a_local_state_in_ci_gives_a_warning(environ: dict[str, str], state: str, warned: bool, tmp_path: Path) -> None:
    made = project(tmp_path, vm(), environ=environ)
    written = f"{PROJECT}  state: {state.replace('ABSOLUTE', str(tmp_path / 'kept'))}\n"
    made.write({"dbc-iac.yaml": written})
    assert ("state-local-in-ci" in made.run("plan", "--refresh=false").err) is warned


@pytest.mark.parametrize(("status", "code"), [(403, 4), (404, 4), (500, 1)])
def test_a_refusing_forge_is_reported_without_the_token(status: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text("x")
    with forge() as lab:
        lab.refuse = status
        environ = {"GITLAB_CI": "1", "CI_API_V4_URL": lab.url, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "9",
                   "GITLAB_TOKEN": "canary"}  # fmt: skip
        result = Project(tmp_path, environ).run("comment", str(tmp_path / "plan.md"), "--json")
    assert (result.code, result.codes) == (code, ["comment-failed"])
    assert "canary" not in result.err


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, "no-ci"),
        ({"GITLAB_CI": "1"}, "no-ci"),
        ({"GITHUB_ACTIONS": "1", "GITHUB_TOKEN": "t"}, "no-ci"),
        ({"GITHUB_ACTIONS": "1", "GITHUB_TOKEN": "t", "GITHUB_EVENT_PATH": "/nowhere/event.json"}, "no-ci"),
    ],
)
def test_outside_of_ci_it_says_what_is_missing(environ: dict[str, str], code: str, tmp_path: Path) -> None:
    assert Project(tmp_path, environ).run("comment", "plan.md", "--json").codes == [code]


def test_the_lock_has_a_hash_of_each_dependency_and_of_the_build() -> None:
    """Jobs that hold the seed of a wallet install nothing else."""
    lock = (ROOT / "dbc_iac/operations/ci/requirements.txt").read_text()
    entries = [e for e in re.split(r"\n(?=[a-z])", lock) if not e.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[^ ]+ \\\n    --hash=sha256:[0-9a-f]{64}", e) for e in entries)
    locked = dict(e.split(" ", 1)[0].split("==") for e in entries)
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = about["project"]["optional-dependencies"]
    wanted = [*about["build-system"]["requires"], *about["project"]["dependencies"]]
    wanted += [d for name in ("graph", "mnemonic", "objectstore", "postgres") for d in extras[name]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name]), requirement


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_every_installation_of_a_pipeline_is_locked(name: str) -> None:
    text = "\n".join(t for p, t in pipeline(name).items() if not p.endswith(".txt"))
    installs = [line for line in text.splitlines() if "-m pip install" in line]
    assert ["--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs] == [True, True]
    assert any(path.endswith("requirements.txt") for path in pipeline(name))
