"""Models of the project file, `dbc-iac.yaml`: client nodes, identities, state, variables, policies."""

from __future__ import annotations

import difflib
import re
from importlib import resources
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dbc_iac.api.http import HEADER_NAME, OWN_HEADERS, is_loopback
from dbc_iac.manifest.durations import Seconds
from dbc_iac.manifest.header import NAME, STACK_NAME
from dbc_iac.manifest.identities import IdentitySpec
from dbc_iac.manifest.secrets import LITERAL, SecretRef
from dbc_iac.manifest.validators import Form, Part, Whole, wrong
from dbc_iac.manifest.variables import VariableSpec

FILE = "dbc-iac.yaml"
Name = Annotated[
    str,
    Form(NAME.pattern, "lower-case letters, digits and -, at most 42", "Choose another name."),
]
Flag = Annotated[bool, Field(strict=True)]
"""A boolean, never a text: `yes` is text in YAML 1.2."""


_LETTERS = "letters, digits and _"
_OTHER = "Choose another name: no digit first, at most 63 characters."
Uid = Annotated[str, Form(r"[0-9a-f]{32}", "32 lower-case hex digits", "Copy the uid that `dbc-iac init` wrote.")]
PublicKey = Annotated[
    str, Form(r"(?!0{64})[0-9a-f]{64}", "64 lower-case hex digits, not all 0", "Copy the whole key, without 0x.")
]
SchemaName = Annotated[str, Form(r"[a-z_][a-z0-9_]{0,62}", f"lower-case {_LETTERS}", _OTHER)]
VariableName = Annotated[str, Form(r"[A-Za-z_][A-Za-z0-9_]{0,63}", _LETTERS, _OTHER)]
OutputName = Annotated[str, Form(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", "letters, digits, _ and -", _OTHER)]
StackName = Annotated[
    str,
    Form(
        STACK_NAME.pattern,
        "letters, digits, _ and -, at most 42",
        "Begin with a letter or digit; write at most 42 letters, digits, _ and -.",
    ),
]


def _known(code: str) -> str:
    """The code. Raises for one that no diagnostic has: it would have no effect."""
    codes = (resources.files("dbc_iac.manifest") / "codes.txt").read_text(encoding="utf-8").split()
    if code not in codes:
        close = difflib.get_close_matches(code, codes, 1)
        remedy = f"Did you mean {close[0]}?" if close else "Copy the code from the warning, such as cuts-lan."
        raise wrong("expected the code of a warning", remedy)
    return code


WarningCode = Annotated[
    str,
    Form(r"[a-z][a-z-]*", "the code of a warning", "Copy the code from the warning, such as cuts-lan."),
    AfterValidator(_known),
]
ResourceAddress = Annotated[
    str, Form(r"[A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?", "KIND/NAME", "Write it like VirtualMachine/trainer.")
]


def _without_login(url: str) -> str:
    """The URL. Raises for one with a name or password, because URLs are printed."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        remedy = "Remove the part before @; set `headers` for credentials."
        raise PydanticCustomError(LITERAL, "{summary}", {"summary": "URL with a name or password", "remedy": remedy})
    return url


Url = Annotated[str, AfterValidator(_without_login)]


def _not_reserved(name: str) -> str:
    if name.lower() in OWN_HEADERS:
        raise wrong("reserved header", "Remove it: dbc-iac sets it.")
    return name


HeaderName = Annotated[
    str,
    Form(HEADER_NAME, "the name of a header", "Write letters, digits and -, such as X-Api-Key."),
    AfterValidator(_not_reserved),
]


class ClientSpec(Part):
    """A client node: the process that serves the HTTP API."""

    url: Url = Field(description="such as http://127.0.0.1:5050")
    provider: Name | None = Field(
        default=None,
        description="operator of the client node; default: its host. One wallet at several providers gives a warning",
    )
    headers: dict[HeaderName, SecretRef] = Field(
        default_factory=dict, description="headers for a gateway; the values are secrets"
    )
    max_in_flight: Annotated[int, Whole(1, 64)] = Field(
        default=1, description="concurrent requests; the real software handles one at a time"
    )
    insecure_http: Flag = Field(default=False, description="allow plain http to another machine")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_url(self.url, "a session that never expires", insecure_http=self.insecure_http)
        return self


_URL = "Write it like http://127.0.0.1:5050."


def check_url(url: str, shown: str, *, insecure_http: bool, at: str = "url") -> None:
    """Validate the URL of a server. Raises for a malformed one, and for plain http to another machine.

    `shown`: the data that plain http would expose. `at`: the field that an error refers to.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise wrong("invalid URL: malformed host or port", _URL, at=at) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise wrong("expected http://HOST:PORT or https://HOST", _URL, at=at)
    if parts.scheme == "http" and not insecure_http and not is_loopback(parts.hostname):
        raise wrong(
            "plain http to another machine",
            "Use https or a tunnel to 127.0.0.1, or set insecureHttp: true.",
            detail=f"It would expose {shown}.",
            at=at,
        )


class ChainSpec(Part):
    """A node of the DBC chain, which knows the current block: rent orders end at a block."""

    url: Url = Field(description="JSON-RPC over HTTP, such as https://HOST or http://127.0.0.1:9944")
    block_time: Seconds = Field(default="6s", validate_default=True, description="time between two blocks")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_url(self.url, "public data", insecure_http=True)
        return self


class StateSpec(Part):
    """Backend of the state."""

    backend: Literal["local", "http", "postgres", "objectstore"] = "local"
    path: str = Field(default="state", description="local: directory, relative to the project")
    address: Url = Field(
        default="",
        description="http: URL of a server with Terraform's HTTP protocol; postgres: postgresql://HOST/DATABASE; "
        "objectstore: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
    )
    username: str = Field(default="", description="http, postgres: name to log in with")
    password: SecretRef | None = Field(default=None, description="http, postgres: password to log in with")
    headers: dict[HeaderName, SecretRef] = Field(
        default_factory=dict, description="http: headers; the values are secrets"
    )
    lock_path: str = Field(default="", description="http: path of locks below each address; GitLab: /lock")
    lock_method: Literal["LOCK", "POST", "PUT"] = Field(
        default="LOCK", description="http: method that locks; GitLab: POST"
    )
    unlock_method: Literal["UNLOCK", "DELETE"] = Field(
        default="UNLOCK", description="http: method that unlocks; GitLab: DELETE"
    )
    insecure_http: Flag = Field(default=False, description="http, objectstore: allow plain http to another machine")
    schema_name: SchemaName = Field(
        default="dbc_iac", alias="schema", description="postgres: schema with the tables, one for each project"
    )
    endpoint: Url = Field(default="", description="objectstore: URL of a server other than the cloud's own")
    region: str = Field(default="", description="objectstore: region of an S3 bucket")
    credentials: dict[str, SecretRef] = Field(
        default_factory=dict,
        description="objectstore: such as access_key_id and secret_access_key; default: those of the environment",
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        unknown = self.model_fields_set - {"backend"} - _FIELDS_OF[self.backend]
        if unknown:
            name = min(self.__pydantic_fields__[field].alias or field for field in unknown)
            raise wrong(f"not a field of the backend {self.backend}", "Remove it, or choose another backend.", at=name)
        if self.backend == "http" or self.endpoint:
            url = self.endpoint or self.address
            shown, at = "the state and the password", "endpoint" if self.endpoint else "address"
            check_url(url, shown, insecure_http=self.insecure_http, at=at)
        schemes = _SCHEMES.get(self.backend)
        secret = {"password", "sslpassword"} & {name.lower() for name, _ in parse_qsl(urlsplit(self.address).query)}
        if secret:
            raise wrong(f"must not contain {min(secret)}", "Use the field `password`.", at="address")
        if schemes and urlsplit(self.address).scheme not in schemes:
            expected = " or ".join(f"{s}://" for s in schemes)
            raise wrong(f"expected {expected}", "Write it like the examples in docs/state.md.", at="address")
        if self.backend == "http" and bool(self.username) != (self.password is not None):
            raise wrong("username and password must be set together", "Add the missing one.")
        if self.backend == "http" and not re.fullmatch(r"[^:\x00-\x1f\x7f-\x9f\ud800-\udfff]*", self.username):
            raise wrong("must not contain : or control characters", "Remove those characters.", at="username")
        return self


_FIELDS_OF = {
    "local": {"path"},
    "http": {
        "address", "username", "password", "headers", "lock_path", "lock_method", "unlock_method", "insecure_http",
    },
    "postgres": {"address", "username", "password", "schema_name"},
    "objectstore": {"address", "endpoint", "region", "credentials", "insecure_http"},
}  # fmt: skip
_SCHEMES = {"postgres": ("postgresql", "postgres"), "objectstore": ("s3", "gs", "az")}


class OlderKey(Part):
    """A previous key, for reading only: exactly one of these."""

    passphrase: SecretRef | None = None
    key: SecretRef | None = None
    private_key: SecretRef | None = None
    recipient: PublicKey | None = Field(default=None, description="public key of a former writer")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if sum(v is not None for v in (self.passphrase, self.key, self.private_key, self.recipient)) != 1:
            raise wrong("expected exactly one key", "Keep one of passphrase, key, privateKey and recipient.")
        return self


class EncryptionSpec(Part):
    """Encryption of state, journal and plan files; each of these keys decrypts them."""

    passphrase: SecretRef | None = Field(default=None, description="a text; the key is derived from it by Argon2id")
    key: SecretRef | None = Field(default=None, description="64 hex digits, as generated by `state new-key`")
    recipients: tuple[PublicKey, ...] = Field(
        default=(), max_length=60, description="public keys, as printed by `state new-key`"
    )
    private_key: SecretRef | None = Field(
        default=None, description="private key of one of the recipients; required to read, and to write for all of them"
    )
    fallback: tuple[OlderKey, ...] = Field(default=(), description="previous keys, used for reading only")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.passphrase is None and self.key is None and not self.recipients:
            raise wrong("expected passphrase, key or recipients", "Add one of them.")
        return self


class EnvironmentSpec(Part):
    """Settings of the environment that `-e NAME` selects."""

    variables: tuple[str, ...] = Field(default=(), description="YAML files of variables, relative to the project")
    stack: StackName | None = Field(
        default=None, description="stack of this environment; no other environment can use it"
    )


class ThresholdsSpec(Part):
    """Guardrails: share of resources to remove, rentals that end soon, and warnings that refuse a plan."""

    max_removals: Annotated[int, Whole(0, 100)] = Field(
        default=50, description="maximum share of the resources in state, in percent"
    )
    refuse: tuple[WarningCode, ...] = Field(
        default=(), description="codes of warnings that refuse a plan, such as cuts-lan"
    )
    rental_ends_within: Seconds | None = Field(
        default=None,
        description="warn of a rental that ends within this time, such as 3d; requires `chain`. "
        "`refuse: [rental-ends]` refuses the plan",
    )


class MoveSpec(Part):
    """A rename: the object managed as `from` is managed as `to`."""

    from_: ResourceAddress = Field(alias="from", description="previous address, such as VirtualMachine/old")
    to: ResourceAddress


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong("expected a time zone", "Write an IANA name, such as Europe/Berlin.") from None
    return value


TimeZone = Annotated[str, AfterValidator(_zone)]


class PolicySpec(Part):
    """A rule that refuses a plan or warns. Evaluated for every plan, and again before the plan is applied."""

    name: Name
    deny: str | None = Field(default=None, description="Jinja expression without braces; true refuses the plan")
    warn: str | None = Field(default=None, description="Jinja expression without braces; true gives a warning")
    each: Literal["change", "plan"] = Field(
        default="change", description="evaluated for each pending `change`, or once for the `plan`"
    )
    message: str = Field(description="text of the diagnostic; a template over the same names")
    remedy: str = Field(default="", description="remedy of the diagnostic")
    time_zone: TimeZone = Field(default="UTC", description="time zone of `now`")

    @property
    def expression(self) -> str:
        return self.deny or self.warn or "false"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.deny is None) == (self.warn is None):
            raise wrong("expected exactly one of deny and warn", "Keep one of them.")
        return self


class ProjectSpec(Part):
    """A project."""

    uid: Uid = Field(description="random; VM ids are derived from it; never copy it from another project")
    clients: dict[Name, ClientSpec] = Field(min_length=1, description="client nodes by name")
    identities: dict[Name, IdentitySpec] = Field(min_length=1)
    state: StateSpec = Field(default_factory=StateSpec)
    encryption: EncryptionSpec | None = None
    variables: dict[VariableName, VariableSpec] = Field(default_factory=dict)
    environments: dict[Name, EnvironmentSpec] = Field(default_factory=dict)
    manifests: tuple[str, ...] = Field(
        default=("manifests/**/*.yaml",), min_length=1, description="globs of manifest files"
    )
    moved: tuple[MoveSpec, ...] = Field(
        default=(), description="renamed resources; keep entries, so that objects can be found if the state is lost"
    )
    removed: tuple[ResourceAddress, ...] = Field(
        default=(), description="addresses to remove from the state without deleting their objects"
    )
    policies: tuple[PolicySpec, ...] = Field(default=(), description="rules that every plan must pass")
    outputs: dict[OutputName, str] = Field(
        default_factory=dict,
        description="values that `output` prints: templates over `resource[ADDRESS]`, `project`, `env`",
    )
    thresholds: ThresholdsSpec = Field(default_factory=ThresholdsSpec)
    trusted_plan_keys: tuple[PublicKey, ...] = Field(
        default=(),
        description="public keys (see `signing-key`); if set, only plan files signed by one of them are applied",
    )
    image_client: Name | None = Field(
        default=None,
        description="client node for image servers, whose ids are local to a client node; default: the first",
    )
    chain: ChainSpec | None = Field(
        default=None, description="chain node that dates the ends of rentals; default: only their blocks are shown"
    )

    @property
    def moves(self) -> tuple[tuple[str, str], ...]:
        """The entries of `moved`: (before, now)."""
        return tuple((move.from_, move.to) for move in self.moved)

    def identity_types(self) -> dict[str, str]:
        """Type of each identity by name: `wallet`, `multisig`, `sessions` or `nodeKey`."""
        return {name: identity.type for name, identity in self.identities.items()}

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.image_client is not None and self.image_client not in self.clients:
            known = ", ".join(self.clients)
            raise wrong(f"unknown client {self.image_client}", f"Use one of: {known}.", at="imageClient")
        if self.thresholds.rental_ends_within is not None and self.chain is None:
            raise wrong(
                "rentalEndsWithin requires a chain node",
                "Add `chain: {url: ...}` to the project file, or remove it.",
                detail="A rent order ends at a block. Only the chain knows when that is.",
                at="thresholds.rentalEndsWithin",
            )
        return self
