"""The sum of whole numbers in the engine, which raises instead of wrapping around."""

from __future__ import annotations

import pyarrow as pa
import pytest

from riacho.errors import ArithmeticFailure
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.plan import build
from riacho.server.plan.overflow import checked_sum

LEAST, MOST = -(2**63), 2**63 - 1


def total(session: EngineSession, values: list[int | None], kind: pa.DataType) -> int | None:
    """The checked sum of `values`, in the engine."""
    rows = pa.table({"v": pa.array(values, kind)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    local = pb.Relation(local_relation=pb.LocalRelation(data=sink.getvalue().to_pybytes()))
    relation = build.group(local, [], [build.alias(checked_sum(build.col("v")), "s")])
    found: int | None = session.run(relation).column("s")[0].as_py()
    return found


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [MOST],
        [LEAST],
        [MOST, LEAST, 5],
        [MOST, 1, -1],
        [LEAST, -1, 1],
        [-1, -1, -1],
        [None, 4, None],
        [2**32, -(2**32), 2**31, -(2**31) - 1],
    ],
)
def test_a_sum_that_fits(session: EngineSession, values: list[int | None]) -> None:
    assert total(session, values, pa.int64()) == sum(value for value in values if value is not None)


def test_of_no_number_it_is_null(session: EngineSession) -> None:
    assert total(session, [None, None], pa.int64()) is None


def test_of_small_numbers_it_is_a_bigint(session: EngineSession) -> None:
    assert total(session, [2**31 - 1, 2**31 - 1, None], pa.int32()) == 2 * (2**31 - 1)


@pytest.mark.parametrize("values", [[MOST, 1], [LEAST, -1], [MOST, MOST, MOST], [LEAST, LEAST], [2**62, 2**62]])
def test_a_sum_that_does_not_fit_raises(session: EngineSession, values: list[int | None]) -> None:
    with pytest.raises(ArithmeticFailure, match="ARITHMETIC_OVERFLOW"):
        total(session, values, pa.int64())
