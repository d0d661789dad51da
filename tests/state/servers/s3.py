"""A server that speaks S3 over HTTP, with conditional writes. Started once a process, and only when it is needed."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache

import httpx

BUCKET = "states"
KEYS = {"access_key_id": "canary-key-id", "secret_access_key": "canary-secret-key"}


@cache
def endpoint() -> str:
    """Its address; it has one bucket. It ends with the process."""
    from moto.server import ThreadedMotoServer  # takes a second of CPU, which most processes do without

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    httpx.put(f"{address}/{BUCKET}", trust_env=False).raise_for_status()
    return address


def age(prefix: str, seconds: float) -> None:
    """As if the objects below a prefix had been written so long before."""
    from moto.s3.models import s3_backends

    for name, key in s3_backends["123456789012"]["aws"].buckets[BUCKET].keys.items():
        if name.startswith(prefix):
            key.last_modified -= timedelta(seconds=seconds)
