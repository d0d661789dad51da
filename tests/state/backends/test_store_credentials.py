"""Credentials of an object store: what counts as one, and that no metadata service is asked without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state.backends.objectstore import object_store
from dbc_iac.state.backends.store_credentials import missing_credentials
from tests.projects import PROJECT, project

S3, GCS, AZURE = "s3://a/x", "gs://a/x", "az://a/x"


@pytest.mark.parametrize(
    ("address", "credentials", "environ"),
    [
        (S3, {"access_key_id": "a", "secret_access_key": "b"}, {}),
        (S3, {"aws_access_key_id": "a"}, {}),
        (S3, {}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
        (S3, {}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "r"}),
        (S3, {}, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}),
        (S3, {}, {"AWS_METADATA_ENDPOINT": "http://169.254.169.254"}),
        (S3, {}, {"AWS_SKIP_SIGNATURE": "true"}),
        (GCS, {"service_account_key": "{}"}, {}),
        (GCS, {}, {"GOOGLE_APPLICATION_CREDENTIALS": "/f"}),
        (GCS, {}, {"GCE_METADATA_HOST": "metadata.google.internal"}),
        (AZURE, {"account_key": "k"}, {}),
        (AZURE, {}, {"AZURE_STORAGE_ACCOUNT_KEY": "k"}),
        (AZURE, {}, {"AZURE_CLIENT_SECRET": "k"}),
        (AZURE, {}, {"IDENTITY_ENDPOINT": "http://127.0.0.1:1"}),
    ],
)
def test_credentials_are_recognised(address: str, credentials: dict[str, str], environ: dict[str, str]) -> None:
    assert missing_credentials(address, credentials, environ) is None


@pytest.mark.parametrize(
    ("address", "environ", "said"),
    [
        (S3, {"AWS_REGION": "eu", "AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID"),
        (S3, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, "AWS_ACCESS_KEY_ID"),  # without a role it is not used
        (GCS, {"AWS_ACCESS_KEY_ID": "a"}, "GOOGLE_APPLICATION_CREDENTIALS"),
        (AZURE, {"AZURE_STORAGE_ACCOUNT_NAME": "lab"}, "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_missing_credentials_are_reported_with_what_to_set(address: str, environ: dict[str, str], said: str) -> None:
    missing = missing_credentials(address, {}, environ)
    assert missing is not None
    assert (missing.code, missing.summary) == ("no-credentials", "no credentials for the object store")
    assert said in missing.remedy


def test_a_login_of_gcloud_counts(tmp_path: Path) -> None:
    file = tmp_path / ".config/gcloud/application_default_credentials.json"
    assert missing_credentials(GCS, {}, {"HOME": str(tmp_path)}) is not None
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert missing_credentials(GCS, {}, {"HOME": str(tmp_path)}) is None


@pytest.fixture
def no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of a machine without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_cloud")
@pytest.mark.parametrize(("address", "extra"), [(S3, {}), (GCS, {}), (AZURE, {}), (AZURE, {"account_name": "lab"})])
def test_a_store_without_credentials_is_not_made(address: str, extra: dict[str, str]) -> None:
    with pytest.raises(DiagnosticError) as raised:
        object_store(address, "", "", extra)
    assert [d.code for d in raised.value.diagnostics] == ["no-credentials"]


@pytest.mark.usefixtures("no_cloud")
def test_a_command_without_credentials_ends_with_4(tmp_path: Path) -> None:
    made = project(tmp_path).write({"dbc-iac.yaml": f"{PROJECT}  state: {{backend: objectstore, address: {S3}}}\n"})
    for command in (["plan"], ["state", "list"], ["apply", "--yes"]):
        refused = made.run(*command, "--json")
        assert (refused.code, refused.codes) == (4, ["no-credentials"]), refused


@pytest.mark.usefixtures("no_cloud")
@pytest.mark.parametrize(
    ("address", "credentials", "said"),
    [
        (S3, {"access_key_id": "canary"}, "Missing SecretAccessKey"),
        (AZURE, {"account_key": "Y2FuYXJ5"}, "Account must be specified"),
        (GCS, {"service_account_path": "/canary.json"}, "Unable to open service account file"),
        (GCS, {"service_account_key": '"canary"'}, "Unable to decode service account file"),
        (AZURE, {"account_name": "lab", "account_key": "canary!"}, "the store refuses the address or a credential"),
        (S3, {"acess_key_id": "canary"}, "a name of `credentials` is not known to the store"),
    ],
)
def test_incomplete_credentials_are_named_without_their_values(
    address: str, credentials: dict[str, str], said: str
) -> None:
    with pytest.raises(OSError, match=said) as raised:
        object_store(address, "", "", credentials)
    assert "canary" not in str(raised.value)
