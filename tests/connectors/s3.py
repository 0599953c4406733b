"""A real object storage for the tests here: one for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riacho.testing.gate import Gate
from riacho.testing.s3 import Bucket, S3Server
from tests.connectors.services import laid


@pytest.fixture(scope="session")
def s3_home() -> Path:
    """Where `make services` has laid the server."""
    return laid("s3", "object storage")


@pytest.fixture(scope="session")
def s3(s3_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server that all tests share; each has buckets of its own."""
    with S3Server(s3_home, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """A bucket of the test's own."""
    return s3.bucket()


@pytest.fixture
def s3_gate(s3: S3Server) -> Iterator[Gate]:
    """A gate of the test's own before the server."""
    with Gate(s3.url) as gate:
        yield gate
