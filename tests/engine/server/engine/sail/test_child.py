"""The engine's process, from its start to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riacho.errors import SparkGeneralError
from riacho.server.engine.sail.child import EngineChild


def test_it_tells_its_port_and_ends_when_told() -> None:
    child = EngineChild()
    try:
        assert child.port() == child.port() > 0
        assert child.alive
        assert child.memory_bytes() > 1 << 20
    finally:
        child.stop()
    assert not child.alive
    assert child.memory_bytes() == 0
    child.stop()  # again does nothing


def test_one_that_dies_before_it_listens_says_so() -> None:
    child = EngineChild()
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(SparkGeneralError, match="The engine did not start: it ended with code -9"):
        child.port()


def test_one_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    monkeypatch.setattr("riacho.server.engine.sail.child.START_TIMEOUT_S", 0.1)
    child = EngineChild()
    with pytest.raises(SparkGeneralError, match="it was silent for 0 s"):
        child.port()
    assert not child.alive


def test_its_process_loads_nothing_of_the_server() -> None:
    """Alone it is there in a tenth of the time that Arrow and the protocol's messages take to load."""
    slow = ("pyarrow", "grpc", "google")
    main = "riacho.server.engine.sail.child_main"
    code = f"import sys, {main}; print([name for name in {slow!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout == "[]\n"
