"""Who may fill a table: one run at a time, unless its client is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from riacho.errors import IllegalStateError
from riacho.server.catalog.base import TableName
from riacho.server.graph.claims import Claims
from riacho.server.graph.dag import Dag
from riacho.server.graph.names import Identifier
from riacho.server.graph.stages import RecomputeFlow, RunFlows, StreamFlow
from riacho.server.graph.storage import FlowCheckpoint

FLOW = Identifier(("spark_catalog", "default", "t"))


@dataclass
class Holder:
    is_abandoned: bool = False
    ends: bool = True
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True

    def wait_end(self, timeout_s: float) -> bool:
        return self.ends


def stages(run: Any) -> list[RunFlows]:
    return [RunFlows({FLOW: run}, (), Dag({FLOW: ()}))]


def view() -> RecomputeFlow:
    return cast("RecomputeFlow", SimpleNamespace(table=TableName("spark_catalog", "default", "t")))


def stream(folder: Path) -> StreamFlow:
    checkpoint = FlowCheckpoint(folder / "_checkpoints" / "spark_catalog" / "default" / "t" / "t", 0)
    return StreamFlow(cast("Any", None), checkpoint, None, "delta", {})


@contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """Another process holds the lock of the stream."""
    lock = "f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)"
    program = f"import fcntl, sys; {lock}; print(1, flush=True); input()"
    file = folder / "_locks" / "spark_catalog.default.t.t"
    file.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(b"\n", timeout=20)


def refused(claims: Claims, run: Any) -> str:
    """What is said of a run that may not begin."""
    with pytest.raises(IllegalStateError) as error, claims.of(stages(run), Holder()):
        pass
    return str(error.value)


def test_one_at_a_time() -> None:
    claims = Claims()
    with claims.of(stages(view()), Holder()):
        assert "'spark_catalog.default.t' is being run by another update" in refused(claims, view())
    with claims.of(stages(view()), Holder()):
        pass


def test_one_whose_client_is_gone_makes_way(tmp_path: Path) -> None:
    claims = Claims()
    gone, next_one = Holder(is_abandoned=True), Holder()
    first = claims.of(stages(stream(tmp_path)), gone)
    first.__enter__()
    with claims.of(stages(stream(tmp_path)), next_one):
        assert gone.stopped
        first.__exit__(None, None, None)  # its end comes late, and takes nothing from the other one
        assert refused(claims, stream(tmp_path))


def test_one_that_does_not_end_keeps_its_place() -> None:
    claims = Claims()
    with claims.of(stages(view()), Holder(is_abandoned=True, ends=False)):
        assert refused(claims, view())


def test_another_process_holds_it_until_it_ends(tmp_path: Path) -> None:
    claims = Claims()
    with elsewhere(tmp_path):
        assert "or in another process" in refused(claims, stream(tmp_path))
    for _ in range(2):
        with claims.of(stages(stream(tmp_path)), Holder()):
            pass
