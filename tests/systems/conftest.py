"""What tests that let both servers take turns share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from riacho.testing.systems import connected


@pytest.fixture(scope="module")
def sessions(start_server: Callable[[str], Server]) -> Iterator[dict[str, SparkSession]]:
    """A session on each server."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(connected(start_server(name))) for name in ("riacho", "spark")}
