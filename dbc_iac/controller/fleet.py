"""The Fleet file: sources, stacks and what each stack's process gets. Read as manifests are, with source ranges."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic import AfterValidator, Field, model_validator

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Severity, failure
from dbc_iac.files.reading import file_problem, read_file
from dbc_iac.manifest.durations import Seconds
from dbc_iac.manifest.header import FIELDS, check_header, without_anchors
from dbc_iac.manifest.project import Name, StackName, TimeZone
from dbc_iac.manifest.schema import document_schema
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.source_map import SourceLocator
from dbc_iac.manifest.validate import hide_literals, parse
from dbc_iac.manifest.validators import Form, Part, Whole, wrong
from dbc_iac.manifest.yaml import MAX_BYTES, YamlDocument, scan_yaml

KIND = "Fleet"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = f"({'|'.join(DAYS)})"
_HOUR = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_GIT = "Write it like https://git.example.org/infra.git, ssh://git@HOST/PATH or file:///srv/infra.git."


def _git_url(value: str) -> str:
    """A URL that git may fetch. Other transports run programs, or send the content in the clear."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise wrong("invalid URL: malformed host or port", _GIT) from None
    if parts.scheme not in {"https", "ssh", "file"} or not parts.path.strip("/") or value != value.strip():
        raise wrong("expected an https, ssh or file URL", _GIT)
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in value) or parts.query or parts.fragment:
        raise wrong("expected a URL without spaces, ? and #", _GIT)
    if parts.scheme == "file" and parts.netloc:
        raise wrong("expected a file URL without a host", _GIT)
    if parts.scheme != "file" and (not parts.hostname or parts.hostname.startswith("-")):
        raise wrong("expected a URL with a host", _GIT)
    if parts.password is not None or (parts.username is not None and parts.scheme == "https"):
        raise wrong("URL with a name or password", "Remove the part before @; set `credentials`.")
    return value


def _inside(value: str) -> str:
    if value.startswith(("/", "-")) or ".." in value.split("/"):
        remedy = "Write it relative to its root, such as vision, without `..` in it."
        raise wrong("expected a directory of the repository", remedy)
    return value.strip("/") or "."


GitUrl = Annotated[str, AfterValidator(_git_url)]
GitRef = Annotated[
    str,
    Form(
        r"(?!.*(\.\.|//|@\{|\.lock(/|$)|/\.))[A-Za-z0-9_][A-Za-z0-9_./+@-]*(?<![/.])",
        "a branch, or a full name below refs/",
        "Write a branch such as main, or refs/tags/v1.",
        250,
    ),
]
Directory = Annotated[str, AfterValidator(_inside)]
Bytes = Annotated[
    str,
    Form(r"[1-9][0-9]{0,8}(Mi|Gi)", "a size, such as 512Mi or 2Gi", "Write a whole number of Mi or Gi."),
]


def byte_count(value: str) -> int:
    """The number of bytes of a size such as `512Mi`."""
    return int(value[:-2]) * {"Mi": 1024**2, "Gi": 1024**3}[value[-2:]]


_LEAST_MEMORY = "512Mi"


def _enough(value: str) -> str:
    if byte_count(value) < byte_count(_LEAST_MEMORY):
        detail, remedy = "It is address space: a project with one VM needs 1200Mi.", "Write at least 1200Mi."
        raise wrong(f"expected at least {_LEAST_MEMORY}", remedy, detail=detail)
    return value


def _some_hours(value: str) -> str:
    first, _, last = value.partition("-")
    if first == last:
        raise wrong("begin and end are the same", "Write another end, or 00:00-24:00 for the whole day.")
    return value


class SourceSpec(Part):
    """A git repository whose content is reconciled."""

    git: GitUrl = Field(description="URL of the repository: https, ssh or file")
    ref: GitRef = Field(default="main", description="branch, or a full name such as refs/tags/v1")
    interval: Seconds = Field(default="60s", validate_default=True, description="time between two fetches")
    username: str = Field(default="git", pattern="^[^:\x00-\x1f]+$", description="https: name to log in with")
    credentials: SecretRef | None = Field(default=None, description="https: password or token")
    signers: str | None = Field(
        default=None,
        min_length=1,
        description="file of allowed signers (ssh-keygen); commits by others are refused. Relative to the Fleet file",
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.credentials is not None and urlsplit(self.git).scheme != "https":
            remedy = "Remove them; ssh uses the keys of the user that runs the controller."
            raise wrong("credentials are for https only", remedy, at="credentials")
        return self


class WindowSpec(Part):
    """The time in which changes may begin. Plans are made at any time."""

    days: Annotated[
        str,
        Form(f"{_DAY}(-{_DAY})?(,{_DAY}(-{_DAY})?)*", "days", "Write mon-fri, or sat,sun."),
    ] = Field(default="mon-sun", description="days on which it opens, such as mon-fri or sat,sun")
    hours: Annotated[
        str,
        Form(f"{_HOUR}-({_HOUR}|24:00)", "hours", 'Write "08:00-18:00".'),
        AfterValidator(_some_hours),
    ] = Field(default="00:00-24:00", description="hours, such as 08:00-18:00; 22:00-06:00 ends on the next day")
    time_zone: TimeZone = Field(default="UTC", description="IANA name of the time zone")

    def contains(self, now: datetime) -> bool:
        """Whether changes may begin at a time, which has a time zone."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        first, _, last = self.hours.partition("-")
        start, at = time.fromisoformat(first), local.time().replace(tzinfo=None)
        end = time.max if last == "24:00" else time.fromisoformat(last)
        today, yesterday = local.weekday() in self._days, (local.weekday() - 1) % 7 in self._days
        if start < end:
            return today and start <= at and (at < end or last == "24:00")
        return (today and at >= start) or (yesterday and at < end)

    @property
    def _days(self) -> set[int]:
        found: set[int] = set()
        for part in self.days.split(","):
            first, _, last = part.partition("-")
            start, end = DAYS.index(first), DAYS.index(last or first)
            found |= {day % 7 for day in range(start, (end if end >= start else end + 7) + 1)}
        return found


class StackSpec(Part):
    """A stack of a project in a source, and how it is reconciled."""

    name: Name = Field(description="unique in the database of the controller")
    source: Name = Field(description="one of `sources`")
    path: Directory = Field(default=".", description="directory of the project in the repository")
    stack: StackName | None = Field(
        default=None, description="as in `dbc-iac --stack`; default: that of the environment, or main"
    )
    environment: str = Field(default="", description="as in `dbc-iac -e`")
    mode: Literal["observe", "approve", "apply"] = Field(
        default="observe",
        description="observe: plan, change nothing; approve: wait for the approval of each plan; apply: apply plans "
        "without data loss that pass policies and guardrails, ask for approval of others",
    )
    drift: Literal["report", "revert"] = Field(
        default="report",
        description="report: drift is reverted only after approval, together with a change of the manifests; "
        "revert: plan its reversal as a change, `mode` decides what follows",
    )
    interval: Seconds = Field(default="10m", validate_default=True, description="time between two runs")
    window: WindowSpec | None = Field(default=None, description="the time in which changes may begin; default: always")


class StackSecrets(Part):
    """Secrets of one stack's process."""

    directory: str = Field(
        min_length=1,
        description="each file in it is an environment variable of the stack's process; relative to the Fleet file",
    )


class LimitsSpec(Part):
    """Limits of each run and each fetch."""

    memory: Annotated[Bytes, AfterValidator(_enough)] = Field(
        default="4Gi", description=f"address space of a run's process, at least {_LEAST_MEMORY}"
    )
    time: Seconds = Field(default="4h", validate_default=True, description="time of a run until it is asked to stop")
    checkout: Bytes = Field(default="256Mi", description="content of one commit, and one fetch")
    fetch: Seconds = Field(default="2m", validate_default=True, description="time of one fetch")


class WebSpec(Part):
    """Secrets of the page and the other paths of `controller run --listen`."""

    token: SecretRef | None = Field(
        default=None,
        description="token to sign in with, to read and to approve; at least 20 characters. Without it, the page can "
        "be read from the same machine only",
    )
    github: SecretRef | None = Field(default=None, description="secret of a webhook of GitHub: /hooks/github")
    gitlab: SecretRef | None = Field(default=None, description="secret token of a webhook of GitLab: /hooks/gitlab")


class NotificationsSpec(Part):
    """A webhook that is called when approval is needed, drift is found, a stack fails or recovers."""

    url: SecretRef = Field(description="https URL")
    secret: SecretRef = Field(description="key of the signature (HMAC-SHA256)")


class RetentionSpec(Part):
    """Age and number of the runs that are kept with their plans and events."""

    days: Annotated[int, Whole(1, 3650)] = Field(default=90)
    runs: Annotated[int, Whole(1, 100_000)] = Field(default=500, description="most runs of one stack")


class FleetSpec(Part):
    """A fleet of stacks."""

    database: SecretRef = Field(description="URL of the PostgreSQL database of the controller")
    sources: dict[Name, SourceSpec] = Field(min_length=1)
    stacks: tuple[StackSpec, ...] = Field(min_length=1)
    secrets: dict[Name, StackSecrets] = Field(
        default_factory=dict, description="by stack: what its process gets, and nothing else"
    )
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    retention: RetentionSpec = Field(default_factory=RetentionSpec)
    web: WebSpec = Field(default_factory=WebSpec)
    notifications: NotificationsSpec | None = None


class Fleet(Struct, frozen=True):
    """A Fleet file as read. `directory`: the base of its relative paths."""

    name: str
    spec: FleetSpec
    directory: Path


def load_fleet(path: Path, sources: dict[str, str]) -> Fleet:
    """Read a Fleet file. Raises DiagnosticError with every problem.

    `sources` receives the text of the file by its name, also when this raises: diagnostics quote it.
    """
    found = Diagnostics()
    try:
        data = read_file(path, MAX_BYTES)
    except OSError as error:
        raise DiagnosticError(file_problem(path, error, "Fleet file")) from None
    sources[str(path)] = data.decode("utf-8", "replace")
    documents, _ = scan_yaml(data, str(path), found)
    found.raise_errors()
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        place = documents[-1].marks.value(()) if documents else None
        summary = f"{path.name} has {len(documents)} documents, expected one of kind {KIND}"
        raise failure("no-fleet", summary, remedy=f"Write one document `kind: {KIND}`.", source=place)
    document = documents[0]
    value = without_anchors(document.value)
    name = check_header(value, document.marks, (KIND,), FIELDS, found)
    given = value.get("spec")
    spec = parse(FleetSpec, given, document.marks, ("spec",), found) if isinstance(given, dict) else None
    if spec is not None:
        found.extend(_cross_checks(spec, document))
    hide_literals(found, sources)
    found.raise_errors()
    assert name is not None and spec is not None  # noqa: S101 - an invalid file has errors
    return Fleet(name, spec, path.parent)


def _cross_checks(spec: FleetSpec, document: YamlDocument) -> Iterator[Diagnostic]:
    """Problems between the parts of a Fleet file."""
    where = SourceLocator(document.marks)

    def problem(code: str, summary: str, remedy: str, path: str) -> Diagnostic:
        return Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=where(path))

    names: set[str] = set()
    claims: dict[tuple[str, str, str], str] = {}
    for number, stack in enumerate(spec.stacks):
        if stack.source not in spec.sources:
            remedy = f"Use one of: {', '.join(sorted(spec.sources))}."
            yield problem("unknown-source", f"unknown source {stack.source}", remedy, f"stacks.{number}.source")
            continue
        if stack.name in names:
            summary = f"stack {stack.name} is defined twice"
            yield problem("duplicate-stack", summary, "Choose another name.", f"stacks.{number}.name")
        names.add(stack.name)
        other = claims.setdefault(claim(spec.sources[stack.source], stack), stack.name)
        if other != stack.name:
            summary = f"{stack.name} and {other} are the same stack"
            yield problem("duplicate-stack", summary, "Remove one of them.", f"stacks.{number}.name")
    for name in spec.secrets:
        if name not in names:
            remedy = f"Use one of: {', '.join(sorted(names))}."
            yield problem("unknown-stack", f"secrets for an unknown stack {name}", remedy, f"secrets.{name}")


def claim(source: SourceSpec, stack: StackSpec) -> tuple[str, str, str]:
    """Repository, directory and name of a stack, which no two stacks may have in common."""
    return (
        source.git.rstrip("/").removesuffix(".git"),
        stack.path,
        stack.stack or (f"environment {stack.environment}" if stack.environment else "main"),
    )


def fleet_schema() -> Mapping[str, str]:
    """The JSON Schema of the Fleet file, by its file name."""
    schema: dict[str, Any] = document_schema("A dbc-iac Fleet file", KIND, FleetSpec)
    return {"fleet.schema.json": json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"}
