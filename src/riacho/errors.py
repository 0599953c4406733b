"""Every error that leaves riacho, as Spark's own classes name them.

    SparkError                     what a Spark client can read: classes, condition, SQLSTATE, parameters
    ├── AnalysisError              org.apache.spark.sql.AnalysisException: the plan or the name is wrong
    │   └── ParseError             org.apache.spark.sql.catalyst.parser.ParseException
    ├── IllegalArgumentError       java.lang.IllegalArgumentException: an option or an argument is wrong
    │   └── NumberFormatError      java.lang.NumberFormatException: text that is no number
    ├── DateTimeError              java.time.DateTimeException: text that is no date or time
    ├── ArithmeticFailure          java.lang.ArithmeticException: an overflow, a division by zero
    ├── ArrayIndexError            java.lang.ArrayIndexOutOfBoundsException
    ├── IllegalStateError          java.lang.IllegalStateException: a log or a checkpoint contradicts itself
    ├── NoSuchElementError         org.apache.spark.SparkNoSuchElementException: there is no conf of that key
    ├── UnsupportedOperationError  java.lang.UnsupportedOperationException: not done by riacho, and said so
    ├── SparkRuntimeError          org.apache.spark.SparkRuntimeException: a value made a running query fail
    ├── SparkGeneralError          org.apache.spark.SparkException: anything else that failed while running
    ├── StorageError               java.io.IOException: an object store refused, or could not be reached
    ├── PythonWorkerError          org.apache.spark.api.python.PythonException: the user's Python code raised
    ├── ClassNotFoundError         org.apache.spark.SparkClassNotFoundException: there is no such data source
    ├── SqlFeatureError            org.apache.spark.SparkSQLException: a database's type that Spark has none for
    ├── DatabaseError              java.sql.SQLException: what a database or its driver says
    ├── InvalidPlanInputError      org.apache.spark.sql.connect.common.InvalidPlanInput: a message lacks a field
    ├── AvroSchemaError            org.apache.avro.SchemaParseException: text that is no Avro schema
    ├── AvroIncompatibleError      org.apache.spark.sql.avro.IncompatibleSchemaException: a schema that does not fit
    └── StreamingQueryError        org.apache.spark.sql.streaming.StreamingQueryException: a query died
    EngineLost                     the engine's process is gone; the caller may run the same work again

Raise them with `X.of(condition, text, sql_state=…, name=value…)` where Spark has an error condition, else with
`X(text)`. The message is always the whole rendered text, `[CONDITION] text SQLSTATE: 42000`.
"""

from __future__ import annotations

from typing import ClassVar, Self

_OBJECT = ("java.lang.Exception", "java.lang.Throwable", "java.lang.Object")
_RUNTIME = ("java.lang.RuntimeException", *_OBJECT)


class SparkError(Exception):
    """An error that a Spark client maps to the exception of the same name.

    `java_classes`: the class names the client looks through, most specific first.
    `condition`, `sql_state`, `parameters`: Spark's error condition, where it has one (else None, None, {}).
    """

    java_classes: ClassVar[tuple[str, ...]] = ("org.apache.spark.SparkException", *_OBJECT)

    def __init__(
        self,
        message: str,
        *,
        condition: str | None = None,
        sql_state: str | None = None,
        parameters: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.condition = condition
        self.sql_state = sql_state
        self.parameters = parameters or {}

    @classmethod
    def of(cls, condition: str, text: str, *, sql_state: str, **parameters: str) -> Self:
        """An error of one of Spark's conditions, its message rendered as Spark renders it."""
        return cls(
            f"[{condition}] {text} SQLSTATE: {sql_state}",
            condition=condition,
            sql_state=sql_state,
            parameters=parameters,
        )


class AnalysisError(SparkError):
    java_classes: ClassVar[tuple[str, ...]] = ("org.apache.spark.sql.AnalysisException", *_OBJECT)


class ParseError(AnalysisError):
    java_classes = (
        "org.apache.spark.sql.catalyst.parser.ParseException",
        "org.apache.spark.sql.AnalysisException",
        *_OBJECT,
    )


class IllegalArgumentError(SparkError):
    java_classes: ClassVar[tuple[str, ...]] = ("java.lang.IllegalArgumentException", *_RUNTIME)


class NumberFormatError(IllegalArgumentError):
    java_classes = ("java.lang.NumberFormatException", "java.lang.IllegalArgumentException", *_RUNTIME)


class DateTimeError(SparkError):
    java_classes = ("org.apache.spark.SparkDateTimeException", "java.time.DateTimeException", *_RUNTIME)


class ArithmeticFailure(SparkError):
    java_classes = ("org.apache.spark.SparkArithmeticException", "java.lang.ArithmeticException", *_RUNTIME)


class ArrayIndexError(SparkError):
    java_classes = (
        "org.apache.spark.SparkArrayIndexOutOfBoundsException",
        "java.lang.ArrayIndexOutOfBoundsException",
        *_RUNTIME,
    )


class IllegalStateError(SparkError):
    java_classes: ClassVar[tuple[str, ...]] = ("java.lang.IllegalStateException", *_RUNTIME)


class NoSuchElementError(SparkError):
    java_classes = ("org.apache.spark.SparkNoSuchElementException", "java.util.NoSuchElementException", *_RUNTIME)


class UnsupportedOperationError(SparkError):
    java_classes = ("java.lang.UnsupportedOperationException", *_RUNTIME)


class SparkRuntimeError(SparkError):
    java_classes = ("org.apache.spark.SparkRuntimeException", *_RUNTIME)


class SparkGeneralError(SparkError):
    pass


class StorageError(SparkError):
    java_classes = ("java.io.IOException", *_OBJECT)


class PythonWorkerError(SparkError):
    java_classes = ("org.apache.spark.api.python.PythonException", *_RUNTIME)


def python_exception(traceback: str) -> PythonWorkerError:
    """The user's Python code raised; `traceback` is Python's own text."""
    return PythonWorkerError.of(
        "PYTHON_EXCEPTION",
        f"An exception was thrown from the Python worker: {traceback.strip()}\n",
        sql_state="38000",
        msg="An exception was thrown from the Python worker",
        traceback=traceback,
    )


class SqlFeatureError(SparkError):
    java_classes = ("org.apache.spark.SparkSQLException", "java.sql.SQLException", *_OBJECT)


class DatabaseError(SparkError):
    java_classes: ClassVar[tuple[str, ...]] = ("java.sql.SQLException", *_OBJECT)


class InvalidPlanInputError(SparkError):
    java_classes = ("org.apache.spark.sql.connect.common.InvalidPlanInput", *_RUNTIME)


class ClassNotFoundError(SparkError):
    java_classes = (
        "org.apache.spark.SparkClassNotFoundException",
        "java.lang.ClassNotFoundException",
        "java.lang.ReflectiveOperationException",
        *_OBJECT,
    )


class AvroSchemaError(SparkError):
    java_classes = ("org.apache.avro.SchemaParseException", "org.apache.avro.AvroRuntimeException", *_RUNTIME)


class AvroIncompatibleError(SparkError):
    java_classes = ("org.apache.spark.sql.avro.IncompatibleSchemaException", *_OBJECT)


class StreamingQueryError(SparkError):
    java_classes = ("org.apache.spark.sql.streaming.StreamingQueryException", *_OBJECT)


class EngineLost(Exception):
    """The engine's process died or was replaced while work was under way. Whoever can repeat the work does so."""
