"""An object storage that speaks S3 as a child process, for tests: Moto, in memory, on loopback, gone with the block.

It takes any key and any secret. It forgets everything when it stops, so tests of a server that is stopped and comes
back put a `gate.Gate` before it.
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

from riacho.testing.servers import running
from riacho.testing.services import Service, free_ports

if TYPE_CHECKING:
    from obstore.store import S3Store

ACCESS_KEY: Final = "riacho-test-key"
SECRET_KEY: Final = "riacho-test-secret"  # noqa: S105 - of a server that takes any
REGION: Final = "us-east-1"
START_LIMIT_S: Final = 60
_STARTED = re.compile(r"Running on http")


class S3Server(Service):
    """A server over what `make services` laid in `home`; its log is in `folder`, and nothing else of it stays.

    `url` is its endpoint. Starting raises `servers.ServerStartError`.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        super().__init__()
        self._home = home.absolute()
        self._folder = folder.absolute()
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command = [str(self._home / "bin" / "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        environment = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
        log = self._folder / "s3.log"
        self._stack.enter_context(running("S3", command, environment, log, _STARTED, START_LIMIT_S))

    def bucket(self, name: str | None = None) -> Bucket:
        """A new bucket, of a name of its own if none is given."""
        return Bucket.make(self.url, name or f"t-{uuid4().hex[:12]}")


class Bucket:
    """What tests do with one bucket. Keys are paths inside it."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.url = f"s3a://{name}"

    @classmethod
    def make(cls, endpoint: str, name: str) -> Bucket:
        """Make it on the server. Raises OSError."""
        _put(endpoint, f"/{name}")
        return cls(endpoint, name)

    def put_any(self, key: str, content: bytes = b"") -> None:
        """As `put`, for keys that our client does not name: marks of folders (`a/b/`), empty parts. Raises OSError."""
        _put(self.endpoint, f"/{self.name}/{quote(key)}", content)

    def put(self, key: str, content: bytes | str) -> None:
        self.store.put(key, content.encode() if isinstance(content, str) else content)

    def get(self, key: str) -> bytes:
        """Raises FileNotFoundError."""
        return bytes(self.store.get(key).bytes())

    def text(self, key: str) -> str:
        """Raises FileNotFoundError."""
        return self.get(key).decode()

    def keys(self, prefix: str = "") -> list[str]:
        """All keys below a prefix, sorted."""
        found = self.store.list(prefix or None, chunk_size=1000)
        return sorted(one["path"] for chunk in found for one in chunk)

    def delete(self, *keys: str) -> None:
        self.store.delete(list(keys))

    @property
    def store(self) -> S3Store:
        """A client of it."""
        return _store(self.endpoint, self.name)


def spark_settings(endpoint: str, prefix: str = "spark.hadoop.") -> dict[str, str]:
    """What a Spark session is told to reach a server (or a gate before it) at `endpoint`."""
    return {
        f"{prefix}fs.s3a.endpoint": endpoint,
        f"{prefix}fs.s3a.endpoint.region": REGION,
        f"{prefix}fs.s3a.access.key": ACCESS_KEY,
        f"{prefix}fs.s3a.secret.key": SECRET_KEY,
        f"{prefix}fs.s3a.path.style.access": "true",
        f"{prefix}fs.s3a.connection.ssl.enabled": "false",
    }


def environment(endpoint: str) -> dict[str, str]:
    """The same as the environment of a process says it."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ALLOW_HTTP": "true",
    }


def _put(endpoint: str, path: str, content: bytes = b"") -> None:
    address = urlsplit(endpoint)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.request("PUT", path, content)
        reply = connection.getresponse()
        if reply.status != HTTPStatus.OK:
            raise OSError(f"{path} was not made at {endpoint}: {reply.status} {reply.reason}")
    finally:
        connection.close()


@cache
def _store(endpoint: str, bucket: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(
        bucket,
        endpoint=endpoint,
        region=REGION,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
