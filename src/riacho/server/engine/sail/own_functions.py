"""Functions that the engine lacks, given to it as Arrow UDFs that run in its own process.

    before                                     after
    from_avro(value, '{"type": …}', map(…))    riacho_from_avro_5d1e…(value)

The name stands for the function with its constant arguments, so it means the same in plans and in SQL text. While a
plan is prepared, each function that it is to call is made in the session (`made_in`).
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Final

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.engine.sail import udfs

OnColumns = Callable[..., pa.Array]
_SCALAR_ARROW_UDF: Final = 250
"""`PythonEvalType.SQL_SCALAR_ARROW_UDF`."""


@dataclass(frozen=True)
class OwnFunction:
    """One function: what makes it inside the engine's process, from which constants, and the type of its results."""

    name: str
    make: Callable[..., OnColumns]
    constants: tuple[Any, ...]
    type: pa.DataType

    def registration(self) -> pb.CommonInlineUserDefinedFunction:
        """The message that makes the function in a session."""
        returned = types.to_json(pa.schema([pa.field("x", self.type)]))
        udf = pb.PythonUDF(
            output_type=types.to_proto(self.type),
            eval_type=_SCALAR_ARROW_UDF,
            command=pickle.dumps((_Made(self.make, self.constants), _Made(udfs.spark_type, (returned,)))),
            python_ver=f"{sys.version_info.major}.{sys.version_info.minor}",
        )
        return pb.CommonInlineUserDefinedFunction(function_name=self.name, deterministic=True, python_udf=udf)


@dataclass(frozen=True)
class _Made:
    """Arrives in the engine's process as what `make(*constants)` gives there; nothing is made of it here."""

    make: Callable[..., Any]
    constants: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.make, self.constants


def own_function(name: str, make: Callable[..., OnColumns], constants: tuple[Any, ...], type: pa.DataType) -> str:
    """The name of a function under which it may be called in a plan that is being prepared."""
    digest = blake2s(json.dumps([*constants, str(type)]).encode(), digest_size=8).hexdigest()
    function = OwnFunction(f"riacho_{name}_{digest}", make, constants, type)
    if (make_in_session := _MAKE.get()) is not None:
        make_in_session(function)
    return function.name


Make = Callable[[OwnFunction], None]
_MAKE: ContextVar[Make | None] = ContextVar("make", default=None)


@contextmanager
def made_in(make: Make) -> Iterator[None]:
    """Have `make` called for each function that is named meanwhile."""
    token = _MAKE.set(make)
    try:
        yield
    finally:
        _MAKE.reset(token)
