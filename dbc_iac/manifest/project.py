"""The project file, `dbc-iac.yaml`: client nodes, identities, variables, where state and manifests are."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from dbc_iac.api.keys import public_key_of
from dbc_iac.manifest.secret import LITERAL, SecretRef
from dbc_iac.manifest.variables import VariableSpec

FILE = "dbc-iac.yaml"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]


def _address(value: str) -> str:
    """An SS58 address of prefix 42, checksum and all."""
    if not value.startswith("5"):
        raise ValueError("expected an SS58 address of network 42: it begins with 5")
    try:
        public_key_of(value)
    except ValueError:
        raise ValueError("this is not an SS58 address: its checksum does not fit") from None
    return value


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)


def _without_login(url: str) -> str:
    """The text of a URL, which is shown: a name and password in it would be, too."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        remedy = "Remove the part before @; the headers of a client can hold secrets."
        raise PydanticCustomError(LITERAL, "a URL must not hold a name or password", {"remedy": remedy})
    return url


Url = Annotated[str, AfterValidator(_without_login)]


class ClientSpec(_Part):
    """A client node: the process with the HTTP API."""

    url: Url = Field(description="such as http://127.0.0.1:5050")
    headers: dict[str, SecretRef] = Field(default_factory=dict, description="headers for a gateway; secret values")
    max_in_flight: int = Field(default=1, ge=1, le=64, description="requests at once; the real software takes one")
    insecure_http: bool = Field(default=False, description="allow plain http to another machine")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_url(self.url, "a session that never expires", insecure_http=self.insecure_http)
        return self


def check_url(url: str, shown: str, *, insecure_http: bool) -> None:
    """Raises ValueError for what is no URL of a node, or shows what is sent to it to everyone on the way."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("url: expected http://HOST:PORT or https://HOST")
    _ = parts.port  # raises ValueError where it is no port
    if parts.scheme == "http" and not insecure_http and not _loopback(parts.hostname):
        raise ValueError(
            f"url: plain http to another machine shows everyone on the way {shown}; "
            "use https or a tunnel to 127.0.0.1, or set insecureHttp: true"
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class KeystoreSpec(_Part):
    """A polkadot-js keystore file."""

    file: str
    password: SecretRef


class WalletSpec(_Part):
    """A wallet's key: exactly one of seed, mnemonic and keystore."""

    seed: SecretRef | None = Field(default=None, description="64 hex digits, 0x allowed")
    mnemonic: SecretRef | None = None
    path: str = Field(default="", description="derivation path of a mnemonic, such as //hard/soft")
    keystore: KeystoreSpec | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(v is not None for v in (self.seed, self.mnemonic, self.keystore)) != 1:
            raise ValueError("expected exactly one of seed, mnemonic and keystore")
        return self


class SignaturesSpec(_Part):
    """Signatures of members that were collected elsewhere: a JSON list of {wallet, nonce, sign}."""

    file: str


class MultisigSpec(_Part):
    """A multisig account."""

    wallets: tuple[str, ...] = Field(min_length=1, description="addresses of all members")
    threshold: int = Field(ge=1)
    signers: tuple[WalletSpec, ...] = Field(default=(), description="members whose keys are at hand")
    signs: SignaturesSpec | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for wallet in self.wallets:
            _address(wallet)
        if self.threshold > len(self.wallets):
            raise ValueError("threshold: more than there are wallets")
        if self.signs is None and self.threshold > len(self.signers):
            raise ValueError("threshold: more than there are signers")
        return self


class SessionSpec(_Part):
    """A session id and its signature, given by whoever rents the machine."""

    id: SecretRef
    sign: SecretRef


class IdentitySpec(_Part):
    """Who asks: exactly one of wallet, multisig, sessions and nodeKey."""

    wallet: WalletSpec | None = None
    multisig: MultisigSpec | None = None
    sessions: dict[str, SessionSpec] | None = Field(default=None, description="by Node name or node id")
    node_key: SecretRef | None = Field(default=None, description="private key of a bare-metal manager, 64 hex digits")
    address: str | None = Field(default=None, description="SS58 address; required for multisig, and to own a Network")

    @property
    def made_of(self) -> str:
        """`wallet`, `multisig`, `sessions` or `nodeKey`."""
        parts = {
            "wallet": self.wallet, "multisig": self.multisig, "sessions": self.sessions, "nodeKey": self.node_key
        }  # fmt: skip
        return next(name for name, part in parts.items() if part is not None)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if sum(v is not None for v in (self.wallet, self.multisig, self.sessions, self.node_key)) != 1:
            raise ValueError("expected exactly one of wallet, multisig, sessions and nodeKey")
        if self.address is not None:
            _address(self.address)
        elif self.multisig is not None:
            raise ValueError("address: required with multisig, to check the account that is derived")
        return self


class StateSpec(_Part):
    """Where the state is kept."""

    backend: Literal["local", "http", "postgres", "objectstore"] = "local"
    path: str = Field(default="state", description="local: directory, relative to the project")
    address: Url = Field(
        default="",
        description="http: of a server of Terraform's HTTP backend protocol; postgres: postgresql://HOST/DATABASE; "
        "objectstore: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
    )
    username: str = Field(default="", description="http, postgres: name to log in with")
    password: SecretRef | None = Field(default=None, description="http, postgres: password to log in with")
    headers: dict[str, SecretRef] = Field(default_factory=dict, description="http: headers; secret values")
    lock_path: str = Field(default="", description="http: where locks are, below each address; GitLab: /lock")
    lock_method: Literal["LOCK", "POST", "PUT"] = Field(default="LOCK", description="http: GitLab: POST")
    unlock_method: Literal["UNLOCK", "DELETE"] = Field(default="UNLOCK", description="http: GitLab: DELETE")
    insecure_http: bool = Field(default=False, description="http, objectstore: allow plain http to another machine")
    schema_name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = Field(
        default="dbc_iac", alias="schema", description="postgres: schema with the tables, one for each project"
    )
    endpoint: Url = Field(default="", description="objectstore: of a server that is not the cloud's own")
    region: str = Field(default="", description="objectstore: region of an S3 bucket")
    credentials: dict[str, SecretRef] = Field(
        default_factory=dict,
        description="objectstore: such as access_key_id and secret_access_key; default: as the cloud's tools find them",
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        wrong = self.model_fields_set - {"backend"} - _FIELDS_OF[self.backend]
        if wrong:
            name = min(self.__pydantic_fields__[field].alias or field for field in wrong)
            raise ValueError(f"{name}: not a field of the backend {self.backend}")
        if self.backend == "http" or self.endpoint:
            url = self.endpoint or self.address
            check_url(url, "all that the state knows, and the password", insecure_http=self.insecure_http)
        schemes = _SCHEMES.get(self.backend)
        secret = {"password", "sslpassword"} & {name.lower() for name, _ in parse_qsl(urlsplit(self.address).query)}
        if secret:
            raise ValueError(f"address: must not hold a {min(secret)}; use the field password, or what libpq reads")
        if schemes and urlsplit(self.address).scheme not in schemes:
            raise ValueError(f"address: expected {' or '.join(f'{s}://' for s in schemes)}")
        if self.backend == "http" and bool(self.username) != (self.password is not None):
            raise ValueError("username and password belong together")
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


PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OlderKey(_Part):
    """A key that opens what was written before: exactly one of these."""

    passphrase: SecretRef | None = None
    key: SecretRef | None = None
    private_key: SecretRef | None = None
    recipient: PublicKey | None = Field(default=None, description="public key of one who wrote, and is not to any more")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if sum(v is not None for v in (self.passphrase, self.key, self.private_key, self.recipient)) != 1:
            raise ValueError("expected exactly one of passphrase, key, privateKey and recipient")
        return self


class EncryptionSpec(_Part):
    """State, journal and plan files are encrypted; each of these keys opens them."""

    passphrase: SecretRef | None = Field(default=None, description="a text; the key is made of it by Argon2id")
    key: SecretRef | None = Field(default=None, description="64 hex digits, as `state new-key` writes them")
    recipients: tuple[PublicKey, ...] = Field(default=(), description="public keys, as `state new-key` shows them")
    private_key: SecretRef | None = Field(
        default=None, description="of one of the recipients: to read, and to write for all"
    )
    fallback: tuple[OlderKey, ...] = Field(default=(), description="open what was written with them; write nothing")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.passphrase is None and self.key is None and not self.recipients:
            raise ValueError("expected passphrase, key or recipients: what is written must be for somebody")
        return self


class EnvironmentSpec(_Part):
    """What `-e NAME` adds."""

    variables: tuple[str, ...] = Field(default=(), description="YAML files of variables, relative to the project")


class ThresholdsSpec(_Part):
    """How much may go at once without being said, and which warnings stop a plan."""

    max_removals: int = Field(default=50, ge=0, le=100, description="percent of the resources in state")
    refuse: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")], ...] = Field(
        default=(), description="codes of warnings that refuse a plan, such as cuts-lan"
    )


ResourceAddress = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?$")]


OutputName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class MoveSpec(_Part):
    """A document that was renamed: what is bound to the old address is that of the new one."""

    from_: ResourceAddress = Field(alias="from", description="the address before, such as VirtualMachine/old")
    to: ResourceAddress


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone such as Europe/Berlin") from None
    return value


class PolicySpec(_Part):
    """What is not to be done, or not without a warning. Checked with every plan, and again before it is applied."""

    name: Name
    deny: str | None = Field(default=None, description="Jinja expression, without braces: true refuses the plan")
    warn: str | None = Field(default=None, description="the same: true warns")
    each: Literal["change", "plan"] = Field(
        default="change", description="asked for each pending `change`, or once for the `plan`"
    )
    message: str = Field(description="what is told; a template over the same names")
    remedy: str = Field(default="", description="what can be done about it")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", description="of `now`")

    @property
    def expression(self) -> str:
        return self.deny or self.warn or "false"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.deny is None) == (self.warn is None):
            raise ValueError("expected exactly one of deny and warn")
        return self


class ProjectSpec(_Part):
    """A project."""

    uid: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="random; the ids of VMs are derived from it; never copy it from another project"
    )
    clients: dict[Name, ClientSpec] = Field(min_length=1, description="client nodes by name")
    identities: dict[Name, IdentitySpec] = Field(min_length=1)
    state: StateSpec = Field(default_factory=StateSpec)
    encryption: EncryptionSpec | None = None
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], VariableSpec] = Field(
        default_factory=dict
    )
    environments: dict[Name, EnvironmentSpec] = Field(default_factory=dict)
    manifests: tuple[str, ...] = Field(default=("manifests/**/*.yaml",), min_length=1, description="globs")
    moved: tuple[MoveSpec, ...] = Field(default=(), description="renamed documents; may stay when it is done")
    removed: tuple[ResourceAddress, ...] = Field(
        default=(), description="addresses without a document whose objects are forgotten, not deleted"
    )
    policies: tuple[PolicySpec, ...] = Field(default=(), description="what plans are held to")
    outputs: dict[OutputName, str] = Field(
        default_factory=dict, description="what `output` prints: templates over `resource[ADDRESS]`, `project`, `env`"
    )
    thresholds: ThresholdsSpec = Field(default_factory=ThresholdsSpec)
    trusted_plan_keys: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(),
        description="public keys (see `signing-key`); with any, only plan files signed by one are applied",
    )
    image_client: Name | None = Field(
        default=None, description="the client node for image centres, whose ids are its own; default: the first"
    )

    def identity_types(self) -> dict[str, str]:
        """What each identity is made of, by name."""
        return {name: identity.made_of for name, identity in self.identities.items()}

    @model_validator(mode="after")
    def _known_client(self) -> Self:
        if self.image_client is not None and self.image_client not in self.clients:
            raise ValueError(f"imageClient: there is no client {self.image_client}; one of: {', '.join(self.clients)}")
        return self
