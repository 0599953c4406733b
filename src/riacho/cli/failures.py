"""From an exception to the one line that the user reads: what is wrong, and the way out."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

import typer

from riacho.errors import SparkError

FAILED = 1
MISUSED = 2
INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended


class CommandError(Exception):
    """A command cannot go on, and knows why. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Failure:
    """What is printed and the code that the program ends with."""

    message: str
    hint: str
    code: int = FAILED

    @property
    def line(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message


# A word that an error of Spark, Delta or gRPC has in it, and what to do then. The first that fits is said.
_HINTS = (
    ("TABLE_OR_VIEW_NOT_FOUND", "`riacho tables` lists the tables of a warehouse"),
    ("SCHEMA_NOT_FOUND", "CREATE DATABASE makes one; `riacho tables` lists what is there"),
    ("UNRESOLVED_COLUMN", "`riacho sql 'DESCRIBE TABLE …'` lists the columns of a table"),
    ("PARSE_SYNTAX_ERROR", "in a shell, put the whole statement in single quotes"),
    ("CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE", "nothing has landed there yet; `riacho generate` writes files to try with"),
    ("PATH_NOT_FOUND", "look at the path; relative ones start at the folder of the project"),
    ("Failed to resolve flows", "mend those marked ✗; the others read from them"),
    ("PIPELINE_SPEC", "compare it with systems/telecom/spark-pipeline.yml"),
    ("RUN_EMPTY_PIPELINE", "look at `libraries` in the spark-pipeline.yml: its patterns fit no definitions"),
    ("failed to connect to all addresses", "is a server running there? `riacho up` starts one"),
    ("StatusCode.UNAVAILABLE", "is a server running there? `riacho up` starts one"),
    ("No module named", "install it in the environment of riacho"),
)
_WRAPPING = re.compile(r"^\[STREAM_FAILED\] Query \[id = [^\]]*\] terminated with exception: ")
_BUG = "this is a bug; run it again with --verbose, and report the output"


def explain(error: BaseException) -> Failure:
    """The line for any exception that a command ended with."""
    match error:
        case CommandError():
            return Failure(error.message, error.hint)
        case typer.TyperException():
            told = _sentence(error.format_message()) or "a command is missing"  # its help has been shown
            return Failure(told, _usage_hint(error), error.exit_code)
        case SparkError():
            return _from_message(error.message)
        case OSError() if error.strerror:
            where = f": {error.filename}" if error.filename else ""
            return Failure(f"{error.strerror}{where}", "")
        case ImportError():
            return _from_message(str(error))
        case _ if _is_pyspark(error):
            return _from_message(str(error))
        case _:
            return Failure(f"{type(error).__name__}: {first_line(str(error))}", _BUG)


def first_line(message: str) -> str:
    """The part of an error's text that says what is wrong, on one line.

    Left out is what follows an empty line, as a query's text or a stack trace does, and what gRPC and streaming
    queries wrap around the cause.
    """
    told = [line for line in message.splitlines() if "details = " in line]
    if "StatusCode." in message and told:
        return told[0].partition("details = ")[2].strip(' "')
    return _WRAPPING.sub("", " ".join(message.strip().partition("\n\n")[0].split()))


def _from_message(message: str) -> Failure:
    hint = next((hint for word, hint in _HINTS if word in message), "")
    return Failure(first_line(message), hint)


def _is_pyspark(error: BaseException) -> bool:
    """Whether it is an exception of PySpark's client, which is not loaded for the sake of asking."""
    errors = sys.modules.get("pyspark.errors")
    return errors is not None and isinstance(error, errors.PySparkException)


def _sentence(message: str) -> str:
    return " ".join(message.split()).rstrip(".")


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows how it is used" if context is not None else ""
