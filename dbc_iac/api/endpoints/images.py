"""Image files of nodes and image servers: `/images`. Ids of image servers are local to the client node that answers."""

from __future__ import annotations

from functools import partial

from dbc_iac.api import storage_responses
from dbc_iac.api.endpoints import Asks, Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome, decoded
from dbc_iac.api.requests import ImageDelete, ImageDownload, ImageServerFiles, ImageTransfer, ImageUpload
from dbc_iac.api.responses import StoredImage, read
from dbc_iac.api.storage_responses import Progress


@endpoint("/images/servers", CallClass.READ, Asks.CLIENT_NODE)
async def list_image_servers(call: Call) -> Outcome[tuple[str, ...]]:
    """The ids of the image servers that the client node is configured with."""
    return decoded(await call(), partial(read, tuple[str, ...], at="image_server"))


@endpoint("/images", CallClass.READ, Asks.CLIENT_NODE)
async def list_image_server_files(call: Call, body: ImageServerFiles) -> Outcome[tuple[StoredImage, ...]]:
    """Files of an image server. An empty listing gives Unknown. A dead image server can freeze the client node."""
    return decoded(await call(body), storage_responses.image_server_files)


@endpoint("/images", CallClass.READ, Asks.ANYONE)
async def list_node_images(call: Call, body: ImageServerFiles | None = None) -> Outcome[tuple[StoredImage, ...]]:
    """Files in the node's `/data`, except those with `data` in the name and those of running VMs. Files with a base
    image are listed only if the given image server has them too."""
    return decoded(await call(body), storage_responses.stored_images)


@endpoint("/images/download", CallClass.IDEMPOTENT)
async def download_image(call: Call, body: ImageDownload) -> Outcome[None]:
    """Begin a transfer from an image server to the node. Overwrites a file of the same name, in use or not."""
    return acknowledged(await call(body))


@endpoint("/images/downloadprogress", CallClass.READ)
async def download_progress(call: Call, body: ImageTransfer) -> Outcome[Progress]:
    """Progress of a download; `done` also if it failed or never started."""
    return decoded(await call(body), storage_responses.progress)


@endpoint("/images/download_stop", CallClass.IDEMPOTENT)
async def stop_download(call: Call, body: ImageTransfer) -> Outcome[None]:
    """Stop a download. Accepted even if none is running."""
    return acknowledged(await call(body))


@endpoint("/images/upload", CallClass.IDEMPOTENT)
async def upload_image(call: Call, body: ImageUpload) -> Outcome[None]:
    """Begin a transfer from the node to an image server. Overwrites a file of the same name."""
    return acknowledged(await call(body))


@endpoint("/images/uploadprogress", CallClass.READ)
async def upload_progress(call: Call, body: ImageTransfer) -> Outcome[Progress]:
    """Progress of an upload, by absolute path only: for a file name the node answers `done` at once."""
    return decoded(await call(body), storage_responses.progress)


@endpoint("/images/upload_stop", CallClass.IDEMPOTENT)
async def stop_upload(call: Call, body: ImageTransfer) -> Outcome[None]:
    """Stop an upload, by absolute path. A stopped snapshot shows `uploading` until the node restarts."""
    return acknowledged(await call(body))


@endpoint("/images/delete", CallClass.IDEMPOTENT)
async def delete_image(call: Call, body: ImageDelete) -> Outcome[None]:
    """Delete a file in the node's `/data`, also one in use. Refused if absent."""
    return acknowledged(await call(body))
