"""The pipelines that `init --ci` writes: a workflow with its action, or a GitLab pipeline."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent / "ci"


def pipeline(forge: str) -> dict[str, str]:
    """Path -> text, for `github` or `gitlab`."""
    if forge == "gitlab":
        return {".gitlab-ci.yml": (_HERE / "gitlab.yaml").read_text(encoding="utf-8")}
    return {
        ".github/workflows/dbc-iac.yaml": (_HERE / "github.yaml").read_text(encoding="utf-8"),
        ".github/actions/dbc-iac/action.yml": action_file().read_text(encoding="utf-8"),
    }


def action_file() -> Path:
    """The action: beside the package where it was installed, else at the root of the source tree."""
    beside = _HERE / "action.yml"
    return beside if beside.is_file() else Path(__file__).parents[2] / "action.yml"
