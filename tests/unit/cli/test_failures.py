"""Any exception becomes one line with the way out."""

from __future__ import annotations

import errno

import pytest
from pyspark.errors import PySparkException

from riacho.cli.failures import CommandError, explain, first_line
from riacho.errors import AnalysisError


def test_our_own_error_brings_its_hint() -> None:
    assert explain(CommandError("it broke", "mend it")).line == "it broke → mend it"
    assert explain(CommandError("it broke")).line == "it broke"


@pytest.mark.parametrize(
    "error",
    [
        AnalysisError("[TABLE_OR_VIEW_NOT_FOUND] The table `x` cannot be found. SQLSTATE: 42P01"),
        PySparkException("[TABLE_OR_VIEW_NOT_FOUND] The table `x`\ncannot be found. SQLSTATE: 42P01\n\n== SQL ==\nx"),
    ],
)
def test_sparks_conditions_get_a_hint(error: Exception) -> None:
    failure = explain(error)

    assert failure.message == "[TABLE_OR_VIEW_NOT_FOUND] The table `x` cannot be found. SQLSTATE: 42P01"
    assert "riacho tables" in failure.hint
    assert failure.code == 1


def test_grpc_says_what_happened_in_its_details() -> None:
    text = '<_Rendezvous of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "no route"\n>'
    failure = explain(PySparkException(text))

    assert (failure.message, "riacho up" in failure.hint) == ("no route", True)


def test_a_file_that_cannot_be_used_is_named() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/data/lake")
    assert explain(error).line == "Permission denied: /data/lake"


def test_what_nobody_expected_says_so() -> None:
    failure = explain(RuntimeError("boom\nat once"))

    assert failure.message == "RuntimeError: boom at once"
    assert "--verbose" in failure.hint


def test_an_error_is_one_line() -> None:
    assert first_line("\n a\n b \n\nc") == "a b"


def test_a_streaming_query_is_not_told_by_its_ids() -> None:
    wrapped = "[STREAM_FAILED] Query [id = 3d7f, runId = dc9c] terminated with exception: [X] the cause SQLSTATE: XXKST"
    assert first_line(wrapped) == "[X] the cause SQLSTATE: XXKST"
