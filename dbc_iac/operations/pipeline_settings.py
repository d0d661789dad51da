"""The parts of a CI pipeline that depend on the project: its secrets, environments and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.kinds import MODELS
from dbc_iac.manifest.load import LoadedProject, load_project
from dbc_iac.manifest.project import FILE, ProjectSpec
from dbc_iac.manifest.secrets import SecretRef, secret_places

SIGNING_KEY = "DBC_IAC_SIGNING_KEY"
_MARK = re.compile(r"^( *)# ([A-Z]+)\n", re.MULTILINE)
_ENV = re.compile(r"\{env: ([A-Za-z_][A-Za-z0-9_]*)\}")
_GITHUB_ENVIRONMENT = "${{ matrix.environment }}"


class PipelineSettings(Struct, frozen=True):
    """`secrets`: names of environment variables. `environments`: those with a stack of their own. `shared`: whether
    others exist, which share one state. `signed`: whether plans must be signed. `paths`: globs of its files."""

    secrets: tuple[str, ...] = ("DBC_WALLET_SEED",)
    environments: tuple[str, ...] = ()
    shared: bool = False
    signed: bool = False
    paths: tuple[str, ...] = (FILE, "manifests/**/*.yaml")
    secret_files: tuple[str, ...] = ()
    """Files with secrets, which a checkout does not have."""


def settings_of_new(texts: Mapping[str, str]) -> PipelineSettings:
    """The settings of the project that `init` writes, from its texts."""
    found = {name for text in texts.values() for name in _ENV.findall(text)}
    return PipelineSettings(tuple(sorted(found)))


def settings_of(directory: Path) -> PipelineSettings:
    """The settings of a project; the default ones where its files are invalid. Reads no secret."""
    try:
        loaded = _load(directory)
    except DiagnosticError:
        return PipelineSettings()
    project = loaded.project
    each = [loaded, *_environments(directory, project)]
    own = tuple(sorted(name for name, spec in project.environments.items() if spec.stack))
    return PipelineSettings(
        tuple(sorted({ref.env for one in each for ref in _references(one) if ref.env})) or ("DBC_WALLET_SEED",),
        own,
        len(own) < len(project.environments),
        bool(project.trusted_plan_keys),
        tuple(dict.fromkeys((FILE, *project.manifests, *_variable_files(project)))),
        tuple(sorted({ref.file for one in each for ref in _references(one) if ref.file})),
    )


def _load(directory: Path, environment: str = "") -> LoadedProject:
    return load_project(
        directory, environment=environment, variables={}, variable_files=(), environ={}, models=MODELS, sources={}
    )


def _environments(directory: Path, project: ProjectSpec) -> Iterator[LoadedProject]:
    for name in project.environments:
        try:
            yield _load(directory, name)
        except DiagnosticError:
            continue


def _references(loaded: LoadedProject) -> Iterator[SecretRef]:
    """References to secrets, of the project file and of the manifests."""
    yield from secret_places(loaded.project)
    for resource in loaded.resources:
        yield from secret_places(resource.spec)


def _variable_files(project: ProjectSpec) -> Iterator[str]:
    for environment in project.environments.values():
        yield from environment.variables


def filled(template: str, forge: str, settings: PipelineSettings, place: str, own: Iterable[str]) -> str:
    """The pipeline of a template. `place`: directory of the project in its repository; `own`: paths of the pipeline."""
    prefix = "" if place == "." else f"{place}/"
    paths = [*(f"{prefix}{path}" for path in settings.paths), *own]
    parts = _github(settings, paths) if forge == "github" else _gitlab(settings, paths)
    names = ", ".join((*settings.secrets, *((SIGNING_KEY,) if settings.signed else ())))
    text = template.replace("{SECRETS}", names)
    if settings.environments:
        environment = _GITHUB_ENVIRONMENT if forge == "github" else "$DBC_IAC_ENVIRONMENT"
        text = text.replace("  environment: dbc\n", f"  environment: dbc-{environment}\n")
        text = text.replace("  resource_group: dbc-iac\n", f"  resource_group: dbc-iac-{environment}\n")
    return _MARK.sub(lambda mark: "".join(f"{mark[1]}{line}\n" for line in parts.get(mark[2], ())), text)


def _github(settings: PipelineSettings, paths: list[str]) -> Mapping[str, list[str]]:
    """Lines of each mark."""
    names = json.dumps(list(settings.environments))
    matrix = ["strategy:", "  fail-fast: false", f"  matrix: {{environment: {names}}}"]
    environment = [f"environment: {_GITHUB_ENVIRONMENT}", f"artifact: dbc-iac-plan-{_GITHUB_ENVIRONMENT}"]
    return {
        "PATHS": ["paths:", *(f"  - {json.dumps(path)}" for path in paths)],
        "MATRIX": matrix if settings.environments else [],
        "ENVIRONMENT": environment if settings.environments else [],
        "SECRETS": [_secret(name) for name in settings.secrets],
        "SIGNING": [_secret(SIGNING_KEY)] if settings.signed else [],
    }


def _secret(name: str) -> str:
    return f"{name}: ${{{{ secrets.{name} }}}}"


def _gitlab(settings: PipelineSettings, paths: list[str]) -> Mapping[str, list[str]]:
    """Lines of each mark. Variables of a GitLab project reach each job without being named."""
    names = json.dumps(list(settings.environments))
    matrix = ["parallel:", f"  matrix: [{{DBC_IAC_ENVIRONMENT: {names}}}]"]
    return {
        "MATRIX": matrix if settings.environments else [],
        "CHANGES": ["changes:", *(f"  - {json.dumps(path)}" for path in paths)],
    }
