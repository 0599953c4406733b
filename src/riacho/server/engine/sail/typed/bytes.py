"""Functions of BINARY: the engine takes it for text, gives text back, or leaves out what is no text.

What is BINARY in Spark is computed from its hexadecimal digits, two for a byte; what is text there is made text first.
"""

from __future__ import annotations

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.server.engine.sail import udfs
from riacho.server.engine.sail.own_functions import own_function
from riacho.server.engine.sail.typed.values import Result, Rule, Values, to
from riacho.server.plan import build
from riacho.server.plan.literals import int_literal


def with_text(name: str, values: Values, rule: Rule) -> Result | None:
    """What `rule` makes of a call whose BINARY arguments are read as text."""
    if pa.binary() not in {value.type for value in values}:
        return rule(name, values)
    texts = [to(value, pa.string()) if value.type == pa.binary() else value for value in values]
    made = rule(name, texts)
    if made is not None and made.expression is not None:
        return made
    return Result(build.call(name, *(value.expression for value in texts)), pa.string())


def padded(name: str, values: Values, text: Rule) -> Result | None:
    """`lpad` and `rpad` give BINARY if all that they are given is; the engine makes text of it.

    `text`: the rule for text.
    """
    kinds = [value.type for value in values]
    if None in kinds or len(values) not in (2, 3):
        return text(name, values)
    if pa.binary() not in kinds or ({kinds[0], kinds[-1]} != {pa.binary()} and len(values) == 3):
        return with_text(name, values, text)
    if kinds[0] != pa.binary():
        return text(name, values)
    pad = build.call("hex", values[2].expression) if len(values) == 3 else build.text("00")
    size = build.call("*", to(values[1], pa.int32()).expression, int_literal(2))
    digits = build.call(name, build.call("hex", values[0].expression), size, pad)
    return Result(build.call("unhex", digits), pa.binary())


def overlay(name: str, values: Values) -> Result | None:
    """BINARY over BINARY gives BINARY; the engine makes text of it. Raises UnsupportedOperationError."""
    if len(values) not in (3, 4) or any(value.type != pa.binary() for value in values[:2]):
        return None
    position = values[2].number
    if position is None or position < 1:
        raise UnsupportedOperationError(
            "overlay of BINARY is not supported here unless its position is a literal above 0: put it together with "
            "substring and concat."
        )
    digits = [build.call("hex", value.expression) for value in values[:2]]
    arguments = [*digits, int_literal(2 * position - 1)]
    if len(values) == 4:
        arguments.append(build.call("*", to(values[3], pa.int32()).expression, int_literal(2)))
    return Result(build.call("unhex", build.call(name, *arguments)), pa.binary())


def elt(name: str, values: Values) -> Result | None:
    """BINARY of BINARY; the engine makes text of it."""
    kinds = {value.type for value in values[1:]}
    if pa.binary() not in kinds or None in kinds:
        return None
    if kinds - {pa.null()} != {pa.binary()}:
        return with_text(name, values, lambda *_: None)
    digits = [build.call("hex", value.expression) for value in values[1:]]
    return Result(build.call("unhex", build.call(name, values[0].expression, *digits)), pa.binary())


def array_join(name: str, values: Values) -> Result | None:
    """Text, also of BINARY elements."""
    kind = values[0].type
    if kind is None or not pa.types.is_list(kind) or kind.value_type != pa.binary():
        return Result(None, pa.string())
    texts = to(values[0], pa.list_(pa.field("element", pa.string())))
    return Result(build.call(name, texts.expression, *(value.expression for value in values[1:])), pa.string())


def bytes_between(name: str, values: Values) -> Result:
    """A part of BINARY: the engine would make text of it."""
    whole = int_literal(2**31 - 1)
    numbers = [to(value, pa.int32()).expression for value in values[1:]]
    start, length = (int_literal(1), numbers[0]) if name == "left" else (numbers[0], [*numbers, whole][1])
    function = own_function("substring", udfs.part_of_bytes, (), pa.binary())
    return Result(build.call(function, values[0].expression, start, length), pa.binary())
