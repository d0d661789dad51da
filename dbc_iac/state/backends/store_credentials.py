"""Whether an object store has credentials. Without them its client asks the metadata service of a cloud.

That is another host, 169.254.169.254 or metadata.google.internal. It is asked only if it is configured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity

_PREFIX = re.compile("(aws|google|azure_storage|azure)_")
_SETTINGS: dict[str, tuple[set[str], ...]] = {
    "s3": (
        {"access_key_id"}, {"secret_access_key"}, {"web_identity_token_file", "role_arn"}, {"skip_signature"},
        {"container_credentials_relative_uri"}, {"container_credentials_full_uri"}, {"metadata_endpoint"},
    ),
    "gs": (
        {"service_account"}, {"service_account_path"}, {"service_account_key"}, {"application_credentials"},
        {"bearer_token"}, {"skip_signature"}, {"gce_metadata_host"},
    ),
    "az": (
        {"account_key"}, {"access_key"}, {"master_key"}, {"sas_key"}, {"sas_token"}, {"token"}, {"bearer_token"},
        {"client_secret"}, {"federated_token_file"}, {"use_azure_cli"}, {"use_emulator"}, {"skip_signature"},
        {"msi_endpoint"}, {"identity_endpoint"}, {"fabric_session_token"},
    ),
}  # fmt: skip
"""Settings by scheme, each set sufficient, without the prefix of the cloud: of `credentials` and of the environment."""
_COMMON = {
    "s3": ("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "AWS_METADATA_ENDPOINT=http://169.254.169.254"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST=metadata.google.internal"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_MSI_ENDPOINT=http://169.254.169.254/metadata/identity/oauth2/token",
    ),
}
_GCLOUD = Path(".config/gcloud/application_default_credentials.json")
"""File of `gcloud auth application-default login`, in the home directory."""


def missing_credentials(address: str, credentials: Mapping[str, str], environ: Mapping[str, str]) -> Diagnostic | None:
    """The error of an object store without credentials; None if it has some."""
    scheme = address.partition(":")[0]
    names = (n.lower() for given in (credentials, environ) for n, value in given.items() if value)
    found = {_PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name for name in names}
    if any(needed <= found for needed in _SETTINGS[scheme]):
        return None
    if scheme == "gs" and (Path(environ.get("HOME", "/")) / _GCLOUD).is_file():
        return None
    variables, metadata = _COMMON[scheme]
    return Diagnostic(
        "no-credentials",
        Severity.ERROR,
        "no credentials for the object store",
        f"Neither `state.credentials` of the project file nor the environment has any for {address}. The metadata "
        f"service of a cloud is asked only if it is configured: {metadata}.",
        f"Set {variables}, or `state.credentials` as docs/state.md shows.",
        exit_code=ExitCode.AUTHORISATION,
    )
