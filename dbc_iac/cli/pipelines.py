"""The pipelines that `init --ci` writes: a workflow with its action, or a GitLab pipeline; and what they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dbc_iac.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from dbc_iac.manifest.project import StateSpec

_HERE = Path(__file__).parent / "ci"
UNKNOWN = "git+https://github.com/OWNER/dbc-iac@COMMIT"
"""What stands in the pipelines for where dbc-iac comes from. Their scripts refuse to install it as it is."""
_GITLAB = ".gitlab-ci.yml"
_WRITTEN = "# Written by `dbc-iac init"
INCLUDED = ".gitlab/dbc-iac.yml"
"""Where the GitLab pipeline goes in a project that has one of its own."""


def pipeline(forge: str, source: str = UNKNOWN, place: str = ".", *, beside: bool = False) -> dict[str, str]:
    """Path -> text, for `github` or `gitlab`; `source`: what pip installs; `place`: the project's directory in its
    repository; `beside` a pipeline that is there."""
    main = (_HERE / f"{forge}.yaml").read_text(encoding="utf-8").replace(UNKNOWN, source)
    main = main.replace('DIRECTORY: "."', f"DIRECTORY: {json.dumps(place)}")
    if forge == "gitlab":
        return {INCLUDED if beside else _GITLAB: main}
    return {
        ".github/workflows/dbc-iac.yaml": main,
        ".github/actions/dbc-iac/action.yml": action_file().read_text(encoding="utf-8"),
    }


def pipeline_for(forge: str, directory: Path) -> dict[str, str]:
    """The pipeline for a project; beside its own one, which is to include it."""
    present = _root(directory) / _GITLAB
    theirs = present.is_file() and _WRITTEN not in present.read_text(encoding="utf-8", errors="replace")
    return pipeline(forge, own_source(), _place(directory), beside=theirs)


def _place(directory: Path) -> str:
    """Where a directory lies in its git repository."""
    return directory.resolve().relative_to(_root(directory)).as_posix()


def _root(directory: Path) -> Path:
    """Of the git repository that a directory lies in; where there is none, the directory."""
    whole = directory.resolve()
    return next((p for p in (whole, *whole.parents) if (p / ".git").exists()), whole)


def to_do(written: Mapping[str, str], directory: Path, *, shared: bool) -> Iterator[str]:
    """What somebody has to do before the pipelines that were written can work. `shared`: all reach the state."""
    if _place(directory) != ".":
        moved = sorted(
            {PurePath(p).parts[0] for p in written if p == _GITLAB or p.startswith((".github/", ".gitlab/"))}
        )
        yield f"Move {' and '.join(moved)} to the root of the repository: forges look only there."
    for path, text in written.items():
        if UNKNOWN in text:
            yield f"In {path}, put for OWNER and COMMIT where your dbc-iac comes from: nothing else is installed."
        if path == INCLUDED:
            yield f"In {_GITLAB}, add `include: [{{local: {INCLUDED}}}]`, and plan and apply to `stages`."
    if not shared:
        yield "A runner forgets its disk: give `state` in dbc-iac.yaml a place that every run reaches (docs/state.md)."


def own_source() -> str:
    """Where this dbc-iac was installed from, if that is a commit that anybody can fetch, as pip notes it (PEP 610)."""
    try:
        value = json.loads(distribution("dbc-iac").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return UNKNOWN
    return pinned(value)


def pinned(value: Mapping[str, object]) -> str:
    url, vcs = value.get("url"), value.get("vcs_info")
    commit = vcs.get("commit_id") if isinstance(vcs, Mapping) and vcs.get("vcs") == "git" else None
    if not isinstance(url, str) or not commit or "@" in url or urlsplit(url).scheme != "https":
        return UNKNOWN
    return f"git+{url}@{commit}"


def forgotten(state: StateSpec, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    """A warning where a CI job keeps the state in its checkout: the next job would know nothing, and find all unwanted
    or make it again. A directory elsewhere is somebody's choice, on a runner that keeps its disk."""
    ci = any(environ.get(name, "").lower() not in {"", "0", "false"} for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI"))
    if ci and state.backend == "local" and not PurePath(state.path).is_absolute():
        yield Diagnostic(
            "state-local-in-ci",
            Severity.WARNING,
            f"the state is kept in {state.path}, which this CI job forgets when it ends",
            "The next run would not know what was made, and drift would find nothing.",
            "Give `state` in dbc-iac.yaml a place that every run reaches: see docs/state.md.",
        )


def action_file() -> Path:
    """The action: beside the package where it was installed, else at the root of the source tree."""
    beside = _HERE / "action.yml"
    return beside if beside.is_file() else Path(__file__).parents[2] / "action.yml"
