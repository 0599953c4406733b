"""What users see when the code of their data source fails, as Spark says it."""

from __future__ import annotations

from riacho.errors import AnalysisError, PythonWorkerError, SparkGeneralError, python_exception
from riacho.server.workers.sources.worker import UserCodeFailed


def refused(action: str, type: str, failure: UserCodeFailed) -> AnalysisError:
    """A data source, reader or writer could not be made: `action` and `type` as in "initialize … reader"."""
    return AnalysisError.of(
        "PYTHON_DATA_SOURCE_ERROR",
        f"Failed to {action} Python data source {type}: {failure.text}",
        sql_state="38000",
        action=action,
        type=type,
        msg=failure.text,
    )


def failed(failure: UserCodeFailed) -> PythonWorkerError:
    """Reading or writing rows failed."""
    return python_exception(failure.text)


def stream_failed(action: str, failure: UserCodeFailed) -> SparkGeneralError:
    """A stream reader or writer could not do `action`."""
    return SparkGeneralError.of(
        "PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR",
        f"Failed when Python streaming data source perform {action}: {failure.text}",
        sql_state="38000",
        action=action,
        msg=failure.text,
    )
