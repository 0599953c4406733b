"""Operations that survive a broken connection.

An operation is an iterator of responses that a client pulls. While nobody pulls, nothing runs. What was sent is kept
until the client says that it has it, so that a client that lost its connection attaches again and goes on where it was
(`ReattachExecute`). A second attachment takes the operation over from the first.

Source: `ExecuteResponseObserver` and `SparkConnectReattachExecuteHandler` of Spark.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from riacho.errors import SparkError, SparkGeneralError
from riacho.ids import OperationId, SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.stopping import stoppable

Responses = Iterator[bytes | None]
"""Encoded `ExecutePlanResponse`s without ids; None now and then from one that waits, so that its caller can look up."""

FINISHED_TO_KEEP = 1000


@dataclass(frozen=True)
class Sent:
    response_id: str
    data: bytes


class Operation:
    """One ExecutePlan call. `suffix`: bytes that give every response the ids it must carry. `tags`: the client's.

    A protobuf field given twice has its last value, so a response of the engine becomes one of this server's by what is
    put behind it, without being decoded.
    """

    def __init__(
        self,
        operation_id: OperationId,
        responses: Responses,
        suffix: bytes,
        *,
        reattachable: bool,
        tags: frozenset[str] = frozenset(),
    ) -> None:
        self.operation_id = operation_id
        self.reattachable = reattachable
        self.tags = tags
        self._responses = responses
        self._suffix = suffix
        self._kept: deque[Sent] = deque()
        self._dropped = 0
        self._failure: BaseException | None = None
        self._finished = False
        self._interrupted = threading.Event()
        self._pulling = threading.Lock()
        self._holder: object | None = None

    def interrupt(self) -> bool:
        """Let it end with OPERATION_CANCELED at the next response or look-up. Whether it is at work now."""
        self._interrupted.set()
        return self._pulling.locked()

    def _check_stop(self) -> None:
        if self._interrupted.is_set():
            raise canceled()

    def responses(self, after: str | None, is_wanted: Callable[[], bool]) -> Iterator[bytes]:
        """What was sent after the response of that id (all that is kept, if None), then what comes.

        Ends early, without an error, when `is_wanted` turns false. Raises what the operation raises, each time anew;
        INVALID_CURSOR.* for an id that is not known any more, INVALID_CURSOR.DISCONNECTED when another call takes over.
        """
        holder = self._holder = object()
        position = self._position(after)
        try:
            while True:
                if position < self._dropped + len(self._kept):
                    yield self._kept[position - self._dropped].data
                    position += 1
                    continue
                if self._failure is not None:
                    raise self._failure
                if self._finished or not self._pull(holder, is_wanted):
                    return
        finally:
            if self._holder is holder:
                self._holder = None

    @property
    def attached(self) -> bool:
        """Whether a call is reading it now."""
        return self._holder is not None

    def release(self, until: str | None) -> None:
        """Forget what was sent up to and including that response; all if None, which also ends the operation."""
        if until is None:
            self._interrupted.set()
            if self._pulling.acquire(blocking=False):
                try:
                    self._close()
                finally:
                    self._pulling.release()
            return
        if any(sent.response_id == until for sent in self._kept):
            while self._drop_first().response_id != until:
                pass

    def _drop_first(self) -> Sent:
        self._dropped += 1
        return self._kept.popleft()

    def _position(self, after: str | None) -> int:
        if after is None:
            if self._dropped:
                raise _cursor(
                    "POSITION_NOT_AVAILABLE", f"The cursor position at the start of {self.operation_id} is gone"
                )
            return 0
        for index, sent in enumerate(self._kept):
            if sent.response_id == after:
                return self._dropped + index + 1
        raise _cursor("POSITION_NOT_FOUND", f"The cursor position id {after} is not found")

    def _pull(self, holder: object, is_wanted: Callable[[], bool]) -> bool:
        """Get one more response. False if the caller should leave."""
        with self._pulling:
            if self._holder is not holder:
                raise _cursor("DISCONNECTED", "The cursor has been disconnected by another ReattachExecute")
            if self._interrupted.is_set() and not self._finished:
                self._failure = canceled()
                self._close()
                return True
            try:
                with stoppable(self._check_stop):
                    data = next(self._responses)
            except StopIteration:
                self._finished = True
                return True
            except BaseException as error:  # noqa: BLE001 - kept, and raised to whoever attaches; a panic is no Exception
                self._failure = canceled() if self._interrupted.is_set() else error
                self._finished = True
                return True
            if data is not None:
                self._keep(data)
            if self._interrupted.is_set():  # whoever asked may be the last to look
                self._failure = canceled()
                self._close()
                return True
        return is_wanted()

    def _keep(self, data: bytes) -> None:
        response_id = new_uuid()
        own = pb.ExecutePlanResponse(response_id=response_id).SerializeToString()
        self._kept.append(Sent(response_id, data + self._suffix + own))
        if not self.reattachable and len(self._kept) > 1:
            self._drop_first()

    def _close(self) -> None:
        self._finished = True
        close = getattr(self._responses, "close", None)
        if close is not None:
            close()


class Operations:
    """The operations of a server, by session and id."""

    def __init__(self) -> None:
        self._running: dict[tuple[SessionId, OperationId], Operation] = {}
        self._finished: OrderedDict[tuple[SessionId, OperationId], None] = OrderedDict()
        self._on_removal: dict[tuple[SessionId, OperationId], Callable[[], None]] = {}
        self._lock = threading.Lock()

    def on_removal(self, session_id: SessionId, operation_id: OperationId, callback: Callable[[], None]) -> None:
        """Have `callback` called once when the client has all of an operation."""
        with self._lock:
            self._on_removal[session_id, operation_id] = callback

    def add(self, session_id: SessionId, operation: Operation) -> None:
        """Raises INVALID_HANDLE.OPERATION_ALREADY_EXISTS."""
        key = (session_id, operation.operation_id)
        with self._lock:
            if key in self._running or key in self._finished:
                raise SparkGeneralError.of(
                    "INVALID_HANDLE.OPERATION_ALREADY_EXISTS",
                    f"The handle {operation.operation_id} is invalid. Handle already exists.",
                    sql_state="HY000",
                    handle=operation.operation_id,
                )
            self._running[key] = operation

    def get(self, session_id: SessionId, operation_id: OperationId) -> Operation:
        """Raises INVALID_HANDLE.OPERATION_NOT_FOUND."""
        operation = self.find(session_id, operation_id)
        if operation is None:
            raise SparkGeneralError.of(
                "INVALID_HANDLE.OPERATION_NOT_FOUND",
                f"The handle {operation_id} is invalid. Operation not found.",
                sql_state="HY000",
                handle=operation_id,
            )
        return operation

    def find(self, session_id: SessionId, operation_id: OperationId) -> Operation | None:
        with self._lock:
            return self._running.get((session_id, operation_id))

    def of_session(self, session_id: SessionId) -> list[Operation]:
        with self._lock:
            return [operation for (owner, _), operation in self._running.items() if owner == session_id]

    def remove(self, session_id: SessionId, operation_id: OperationId) -> None:
        """The client has all of it."""
        key = (session_id, operation_id)
        with self._lock:
            if self._running.pop(key, None) is not None:
                self._finished[key] = None
                while len(self._finished) > FINISHED_TO_KEEP:
                    self._finished.popitem(last=False)
            callback = self._on_removal.pop(key, None)
        if callback is not None:
            callback()


def canceled() -> SparkError:
    """What an interrupted operation ends with."""
    return SparkGeneralError.of("OPERATION_CANCELED", "Operation has been canceled.", sql_state="HY008")


def _cursor(kind: str, text: str) -> SparkError:
    return SparkGeneralError.of(f"INVALID_CURSOR.{kind}", f"The cursor is invalid. {text}.", sql_state="HY109")
