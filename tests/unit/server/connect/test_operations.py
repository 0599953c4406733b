from __future__ import annotations

from collections.abc import Iterator

import pytest

from riacho.errors import SparkGeneralError
from riacho.ids import OperationId, SessionId
from riacho.protos import pb
from riacho.server.connect.operations import Operation, Operations

SESSION = SessionId("s")


def numbered(count: int) -> Iterator[bytes | None]:
    for number in range(count):
        yield pb.ExecutePlanResponse(session_id="engine", operation_id=str(number)).SerializeToString()


def operation(responses: Iterator[bytes | None], *, reattachable: bool = True) -> Operation:
    suffix = pb.ExecutePlanResponse(session_id=SESSION, server_side_session_id="ours").SerializeToString()
    return Operation(OperationId("o"), responses, suffix, reattachable=reattachable)


def read(op: Operation, after: str | None = None, limit: int | None = None) -> list[pb.ExecutePlanResponse]:
    found = []
    for data in op.responses(after, lambda: True):
        found.append(pb.ExecutePlanResponse.FromString(data))
        if len(found) == limit:
            break
    return found


def test_responses_carry_this_servers_ids() -> None:
    responses = read(operation(numbered(2)))
    assert [(r.session_id, r.server_side_session_id, r.operation_id) for r in responses] == [
        (SESSION, "ours", "0"),
        (SESSION, "ours", "1"),
    ]
    assert len({r.response_id for r in responses}) == 2


def test_a_client_goes_on_where_its_connection_broke() -> None:
    op = operation(numbered(5))
    first = read(op, limit=2)
    rest = read(op, after=first[0].response_id)
    assert [r.operation_id for r in rest] == ["1", "2", "3", "4"]


def test_a_client_that_saw_nothing_starts_at_the_front() -> None:
    op = operation(numbered(3))
    read(op, limit=1)
    assert [r.operation_id for r in read(op)] == ["0", "1", "2"]


def test_what_was_released_is_gone() -> None:
    op = operation(numbered(3))
    seen = read(op)
    op.release(seen[0].response_id)
    assert [r.operation_id for r in read(op, after=seen[1].response_id)] == ["2"]
    with pytest.raises(SparkGeneralError, match="POSITION_NOT_AVAILABLE"):
        read(op)
    with pytest.raises(SparkGeneralError, match="POSITION_NOT_FOUND"):
        read(op, after=seen[0].response_id)


def test_a_failure_is_raised_to_whoever_attaches() -> None:
    def failing() -> Iterator[bytes | None]:
        yield from numbered(1)
        raise SparkGeneralError("broken")

    op = operation(failing())
    for _ in range(2):
        with pytest.raises(SparkGeneralError, match="broken"):
            read(op)


def test_what_is_no_exception_ends_an_operation_too() -> None:
    class Panic(BaseException):
        """As libraries in Rust raise it."""

    def failing() -> Iterator[bytes | None]:
        yield from numbered(1)
        raise Panic

    op = operation(failing())
    for _ in range(2):
        with pytest.raises(Panic):
            read(op)


def test_an_interrupted_operation_is_cancelled_and_closed() -> None:
    closed = []

    def endless() -> Iterator[bytes | None]:
        try:
            while True:
                yield None
        finally:
            closed.append(True)

    op = operation(endless())
    assert list(op.responses(None, lambda: False)) == []
    op.interrupt()
    with pytest.raises(SparkGeneralError, match="OPERATION_CANCELED"):
        read(op)
    assert closed == [True]


def test_a_caller_that_left_is_noticed_while_an_operation_waits() -> None:
    def waiting() -> Iterator[bytes | None]:
        while True:
            yield None

    assert list(operation(waiting()).responses(None, lambda: False)) == []


def test_a_second_attachment_takes_over() -> None:
    op = operation(numbered(3))
    first = op.responses(None, lambda: True)
    next(first)
    assert len(read(op)) == 3

    op = operation(numbered(3))
    first = op.responses(None, lambda: True)
    next(first)
    second = op.responses(None, lambda: True)
    next(second)
    with pytest.raises(SparkGeneralError, match="DISCONNECTED"):
        next(first)


def test_an_id_is_taken_once() -> None:
    operations = Operations()
    op = operation(numbered(1))
    operations.add(SESSION, op)
    with pytest.raises(SparkGeneralError, match="OPERATION_ALREADY_EXISTS"):
        operations.add(SESSION, op)
    operations.remove(SESSION, op.operation_id)
    with pytest.raises(SparkGeneralError, match="OPERATION_NOT_FOUND"):
        operations.get(SESSION, op.operation_id)


def test_it_is_attached_while_somebody_reads() -> None:
    op = operation(numbered(2))
    for _ in op.responses(None, lambda: True):
        assert op.attached
    assert not op.attached
