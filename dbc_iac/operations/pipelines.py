"""CI pipelines of `init --ci`: a GitHub workflow with its action, or a GitLab pipeline."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from dbc_iac.files.reading import real_path
from dbc_iac.manifest.project import FILE
from dbc_iac.operations.pipeline_settings import SIGNING_KEY, PipelineSettings, filled, settings_of, settings_of_new

_HERE = Path(__file__).parent / "ci"
UNKNOWN = "git+https://github.com/OWNER/dbc-iac@COMMIT"
"""The placeholder for the source of dbc-iac in the pipelines. Their scripts refuse to install it."""
_GITLAB = ".gitlab-ci.yml"
_WORKFLOW = ".github/workflows/dbc-iac.yaml"
_WRITTEN = "# Written by `dbc-iac init"
_CHECKSUM = "# `dbc-iac init --ci` writes this file again unless it was edited; checksum: "
_PACKAGE = re.compile("^ *DBC_IAC_PACKAGE: .*$", re.MULTILINE)
INCLUDED = ".gitlab/dbc-iac.yml"
"""The path of the GitLab pipeline in a project that already has one."""


def pipeline(
    forge: str,
    source: str = UNKNOWN,
    place: str = ".",
    *,
    beside: bool = False,
    settings: PipelineSettings | None = None,
) -> dict[str, str]:
    """The files of a pipeline for `github` or `gitlab`, by path.

    `source` is installed by pip; `place` is the project's directory in its repository; `beside`: next to an existing
    GitLab pipeline.
    """
    main = (_HERE / f"{forge}.yaml").read_text(encoding="utf-8").replace(UNKNOWN, source)
    main = main.replace('DIRECTORY: "."', f"DIRECTORY: {json.dumps(place)}")
    lock = (_HERE / "requirements.txt").read_text(encoding="utf-8")
    path = _WORKFLOW if forge == "github" else INCLUDED if beside else _GITLAB
    action = ".github/actions/dbc-iac"
    own = (path, f"{action}/**") if forge == "github" else (path,)
    main = filled(main, forge, settings or PipelineSettings(), place, own)
    files = {path: main, ".gitlab/dbc-iac-requirements.txt": lock}
    if forge == "github":
        text = action_file().read_text(encoding="utf-8")
        files = {path: main, f"{action}/action.yml": text, f"{action}/requirements.txt": lock}
    return {path: f"{text}{_CHECKSUM}{_checksum(text)}\n" for path, text in files.items()}


def rewritten(old: str, new: str) -> str | None:
    """The new text of a file of a pipeline in place of the old one; None if that was not written by `init`, or edited.

    The package to install, which the file asks for, is kept where this dbc-iac does not know its own source.
    """
    body, _, checksum = old.rpartition(_CHECKSUM)
    if checksum.strip() != _checksum(body):
        return None
    kept = _PACKAGE.search(old)
    return _PACKAGE.sub(lambda _: kept[0], new) if kept is not None and UNKNOWN in new else new


def _checksum(text: str) -> str:
    """The checksum of a generated text, without its line that names the package to install."""
    return hashlib.sha256(_PACKAGE.sub("", text).encode()).hexdigest()[:16]


def pipeline_for(forge: str, directory: Path, new: Mapping[str, str]) -> dict[str, str]:
    """The pipeline for a project; a separate file to include where it has a GitLab pipeline of its own.

    `new`: the files of the project to write, if there is none.
    """
    present = _root(directory) / _GITLAB
    theirs = present.is_file() and _WRITTEN not in present.read_text(encoding="utf-8", errors="replace")
    settings = settings_of(directory) if (directory / FILE).exists() else settings_of_new(new)
    return pipeline(forge, own_source(), _path_in_repository(directory), beside=theirs, settings=settings)


def _path_in_repository(directory: Path) -> str:
    """The path of a directory in its git repository."""
    return real_path(directory).relative_to(_root(directory)).as_posix()


def _root(directory: Path) -> Path:
    """The root of a directory's git repository; without one, the directory."""
    whole = real_path(directory)
    return next((p for p in (whole, *whole.parents) if (p / ".git").exists()), whole)


def to_do(written: Mapping[str, str], directory: Path, *, shared: bool) -> Iterator[str]:
    """The manual steps before the written pipelines work. `shared`: the state has a remote backend."""
    if _path_in_repository(directory) != ".":
        moved = sorted(
            {PurePath(p).parts[0] for p in written if p == _GITLAB or p.startswith((".github/", ".gitlab/"))}
        )
        yield f"Move {' and '.join(moved)} to the root of the repository: CI reads them only there."
    for path, text in written.items():
        if UNKNOWN in text:
            yield f"In {path}, replace OWNER and COMMIT with the source of your dbc-iac."
        if path == INCLUDED:
            yield f"In {_GITLAB}, add `include: [{{local: {INCLUDED}}}]`, and plan and apply to `stages`."
    settings = settings_of(directory)
    yield f"Give the pipeline the secrets {', '.join(settings.secrets)}."
    for name in settings.secret_files:
        yield f"Replace `file: {name}` by `env: NAME`: a CI runner has no such file."
    if settings.signed:
        yield f"Give it {SIGNING_KEY}, a key of `trustedPlanKeys`: its jobs sign the plans."
    if settings.shared:
        yield "Give each environment a `stack` in dbc-iac.yaml, and write the pipeline again: it plans each of them."
    if not shared:
        yield "Set `state` in dbc-iac.yaml to a remote backend: a CI runner loses its disk (docs/state.md)."


def own_source() -> str:
    """The source that pip installed this dbc-iac from, where it is a public commit (PEP 610); else the placeholder."""
    from importlib.metadata import PackageNotFoundError, distribution

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


def action_file() -> Path:
    """The GitHub action: installed with the package, else at the root of the source tree."""
    beside = _HERE / "action.yml"
    return beside if beside.is_file() else Path(__file__).parents[2] / "action.yml"
