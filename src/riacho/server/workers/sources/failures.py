"""What users see when the code of their data source fails, as Spark says it; errors of riacho's own as they are."""

from __future__ import annotations

from riacho.errors import AnalysisError, SparkError, SparkGeneralError, python_exception
from riacho.server.workers.sources.worker import UserCodeFailed


def refused(action: str, type: str, failure: UserCodeFailed) -> SparkError:
    """A data source, reader or writer could not be made: `action` and `type` as in "initialize … reader"."""
    return failure.error or AnalysisError.of(
        "PYTHON_DATA_SOURCE_ERROR",
        f"Failed to {action} Python data source {type}: {failure.text}",
        sql_state="38000",
        action=action,
        type=type,
        msg=failure.text,
    )


def failed(failure: UserCodeFailed) -> SparkError:
    """Reading or writing rows failed."""
    return failure.error or python_exception(failure.text)


def stream_failed(action: str, failure: UserCodeFailed) -> SparkError:
    """A stream reader or writer could not do `action`."""
    return failure.error or SparkGeneralError.of(
        "PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR",
        f"Failed when Python streaming data source perform {action}: {failure.text}",
        sql_state="38000",
        action=action,
        msg=failure.text,
    )
