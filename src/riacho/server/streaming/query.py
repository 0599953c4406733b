"""One run of a streaming query as others see it: start, look, wait, stop. The work itself is in `microbatch.py`."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from riacho import storage
from riacho.clock import Clock
from riacho.conf import RECENT_PROGRESS
from riacho.errors import EngineLost, SparkError, SparkGeneralError, StreamingQueryError
from riacho.ids import BatchId, Offset, RunId, new_uuid
from riacho.server.engine.base import Engine
from riacho.server.streaming import lifecycle, progress
from riacho.server.streaming.batch import BatchStep, QueryObserver
from riacho.server.streaming.checkpoint import Checkpoint
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.lifecycle import QueryEvent, QueryState
from riacho.server.streaming.microbatch import MicroBatchRun, RunContext
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.query_status import WAITING, Listener, QueryStatus, StatusMessage, Stopped
from riacho.server.streaming.sinks.base import SinkContext
from riacho.server.streaming.sources.base import SourceContext, SourceReader
from riacho.server.streaming.trigger import OnNews, ProcessingTime
from riacho.storage import Place, delete_tree

STOP_TIMEOUT_S = 60.0


class StreamingQuery:
    """A query run, made by `QueryManager.add`. All methods may be called from any thread.

    Raises STREAMING_CHECKPOINT_MISSING_METADATA_FILE on construction if the checkpoint has lost its metadata.
    """

    def __init__(
        self,
        definition: QueryDefinition,
        engine: Engine,
        clock: Clock,
        observer: QueryObserver,
        listener: Listener,
        on_end: Callable[[StreamingQuery], None],
    ) -> None:
        self.definition = definition
        self.name = definition.name
        self.run_id = RunId(new_uuid())
        self._checkpoint = Checkpoint(definition.checkpoint)
        self.query_id = self._checkpoint.query_id()
        self.started_ms = clock.now_ms()
        self._engine = engine
        self._clock = clock
        self._observer = observer
        self._listener = listener
        self._on_end = on_end
        self._status = QueryStatus(progress_to_keep=max(RECENT_PROGRESS.of(definition.conf) - 1, 0))
        self._state = QueryState.INITIALIZING
        self._cause: Exception | None = None
        self._failure: StreamingQueryError | None = None
        self._stack_trace = ""
        self._beginning = threading.Lock()
        self._begun = False
        thread_name = f"riacho-query-{self.name or self.query_id}"
        self._thread = threading.Thread(target=storage.carried(self._run), name=thread_name, daemon=True)

    @property
    def is_active(self) -> bool:
        return self._state is not QueryState.TERMINATED

    @property
    def status(self) -> StatusMessage:
        return self._status.current

    @property
    def batches(self) -> int:
        """How many batches this run has committed."""
        return self._status.batches

    @property
    def waits_for_data(self) -> bool:
        """Whether the last look found nothing new."""
        return self._status.current.message == WAITING

    @property
    def recent_progress(self) -> list[Progress]:
        """The last progress entries, oldest first."""
        return self._status.recent

    @property
    def failure(self) -> StreamingQueryError | None:
        """Why the query died, or None."""
        return self._failure

    @property
    def cause(self) -> SparkError | None:
        """The error behind the failure, where Spark has a name for it."""
        return self._cause if isinstance(self._cause, SparkError) else None

    @property
    def stack_trace(self) -> str:
        """The traceback of the failure, or the empty string."""
        return self._stack_trace

    def begin(self) -> None:
        """Run, on a thread of its own. Does nothing for one that has begun or was abandoned.

        Raises RuntimeError if there can be no thread; then the query is abandoned.
        """
        with self._beginning:
            if self._begun:
                return
            self._begun = True
        try:
            self._thread.start()
        except BaseException:
            self._leave()
            raise

    def abandon(self) -> None:
        """It will not begin: nothing of it is left, and nobody hears of it. Does nothing for one that has begun."""
        with self._beginning:
            if self._begun:
                return
            self._begun = True
        self._leave()

    def wait_end(self, timeout_s: float | None) -> bool:
        """Wait until the query has ended, however it does; whether it came in time."""
        return self._status.wait_end(timeout_s)

    def ask_to_stop(self) -> None:
        """Let the query end soon and cancel what the engine runs for it. Returns at once. Idempotent."""
        if self._status.stop_asked:
            return
        self._status.ask_to_stop()
        if self.is_active:
            # If the engine is gone, nothing runs there any more, and the loop sees the request by itself.
            with suppress(SparkError, EngineLost):
                self.definition.session.interrupt()

    def stop(self) -> None:
        """End the query and wait for it. Idempotent. Raises SparkGeneralError if it has not ended after a minute."""
        self.ask_to_stop()
        if threading.current_thread() is self._thread or self._status.wait_end(STOP_TIMEOUT_S):
            return
        raise SparkGeneralError(
            f"Streaming query {self.query_id} did not stop within {STOP_TIMEOUT_S:.0f} s; it is still busy: "
            f"{self.status.message}."
        )

    def await_termination(self, timeout_s: float | None) -> bool:
        """Wait until the query has ended, at most `timeout_s`. Whether it has. Raises its failure, if it failed."""
        ended = self._status.wait_end(timeout_s)
        if ended and self._failure is not None:
            raise self._failure
        return ended

    def all_available_waiter(self) -> Callable[[float | None], bool]:
        """A wait until all data there are now have been processed, in one go or in slices: whether they are.

        Waiting raises the failure of the query, if it dies.
        """
        wait_idle = self._status.idle_waiter()

        def wait(timeout_s: float | None) -> bool:
            done = wait_idle(timeout_s)
            if self._failure is not None:
                raise self._failure
            return done

        return wait

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._open_and_loop()
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why the query died
            # A request to stop cancels what the engine runs, which then fails: that is no failure of the query.
            failure = None if self._status.stop_asked else error
        self._end(failure)

    def _open_and_loop(self) -> None:
        """Open everything, run, and close everything in reverse order, whatever happens."""
        self._status.check_stop()
        definition = self.definition
        with ExitStack() as opened:
            scratch = _scratch(definition.checkpoint)
            opened.callback(shutil.rmtree, scratch, ignore_errors=True)
            spool = self._engine.spool(
                f"{definition.name or 'query'}-{self.run_id[:8]}", zone=definition.session.zone.engine
            )
            opened.callback(spool.close)
            sink_spool = self._engine.spool(f"sink-{self.run_id[:8]}", zone=definition.session.zone.engine)
            opened.callback(sink_spool.close)
            readers: list[SourceReader] = []
            for index, use in enumerate(definition.sources):
                context = SourceContext(
                    self._checkpoint.source_folder(index),
                    definition.session,
                    self._clock,
                    use.with_metadata,
                    use.unused,
                    definition.session.zone.text,
                    self._status.check_stop,
                    self.query_id,
                    self._status.wake if isinstance(definition.trigger, ProcessingTime | OnNews) else None,
                )
                readers.append(use.source.open(context))
                opened.callback(readers[-1].stop)
            execution = definition.prepare(definition.checkpoint)
            opened.callback(execution.close)
            writer = definition.sink.open(
                SinkContext(
                    query_id=self.query_id,
                    run_id=self.run_id,
                    query_name=definition.name,
                    schema=definition.schema,
                    output_mode=definition.output_mode,
                    session=definition.session,
                    scratch=scratch,
                    check_stop=self._status.check_stop,
                    spool=sink_spool,
                )
            )
            opened.callback(writer.stop)
            run_context = RunContext(
                query_id=self.query_id,
                run_id=self.run_id,
                definition=definition,
                checkpoint=self._checkpoint,
                readers=readers,
                writer=writer,
                execution=execution,
                spool=spool,
                clock=self._clock,
                status=self._status,
                listener=self._listener,
                after=self._after,
            )
            run = MicroBatchRun(run_context)
            self._state = lifecycle.apply(self._state, QueryEvent.STARTED)
            run.loop()

    def _after(self, step: BatchStep, batch_id: BatchId) -> None:
        self._observer.after(step, self.query_id, batch_id)

    def _end(self, failure: Exception | None) -> None:
        """The loop is closed: say how it ended, then let those who wait go on, whatever else goes wrong."""
        condition = None
        if failure is None:
            self._status.current = StatusMessage("Stopped")
        else:
            self._cause = failure
            self._stack_trace = "".join(traceback.format_exception(failure))
            self._failure = self._death(failure)
            self._status.current = StatusMessage(f"Terminated with exception: {message_of(failure)}")
            condition = failure.condition if isinstance(failure, SparkError) else None
        event = progress.terminated_event(self.query_id, self.run_id, self._stack_trace or None, condition)
        self._leave(lambda: self._listener.on_terminated(event), lambda: self._on_end(self))

    def _leave(self, *tell: Callable[[], None]) -> None:
        """Give back what the query has, tell, and let those who wait go on; each whether or not the last one worked."""
        session = self.definition.session
        with ExitStack() as leaving:
            leaving.callback(self._status.end)
            for step in reversed(tell):
                leaving.callback(step)
            leaving.callback(self._engine.release, session.session_id, session.user_id)
            if self.definition.temporary and self._failure is None:
                leaving.callback(delete_tree, self.definition.checkpoint)
            self._state = lifecycle.apply(self._state, QueryEvent.ENDED)
            self.definition.sink.close()

    def _death(self, failure: Exception) -> StreamingQueryError:
        """The StreamingQueryException that clients see, with the debug text Spark puts behind its message."""
        message = message_of(failure)
        debug = (
            "\n=== Streaming Query ===\n"
            f"Identifier: {self.name + ' ' if self.name else ''}[id = {self.query_id}, runId = {self.run_id}]\n"
            f"Current Committed Offsets: {self._offsets(self._status.committed)}\n"
            f"Current Available Offsets: {self._offsets(self._status.available)}\n\n"
            f"Current State: {self._state.name}\n"
            "Thread State: RUNNABLE\n\n"
            f"Logical Plan:\n{self.definition.plan_text}"
        )
        return StreamingQueryError(
            f"[STREAM_FAILED] Query [id = {self.query_id}, runId = {self.run_id}] terminated with exception: "
            f"{message} SQLSTATE: XXKST{debug}",
            condition="STREAM_FAILED",
            sql_state="XXKST",
            parameters={"id": self.query_id, "runId": self.run_id, "message": message},
        )

    def _offsets(self, offsets: Sequence[Offset | None]) -> str:
        named = zip((use.source.name for use in self.definition.sources), offsets, strict=False)
        return "{" + ", ".join(f"{name}: {offset}" for name, offset in named if offset is not None) + "}"


def _scratch(checkpoint: Place) -> Path:
    """A folder of this machine for what a run needs only while it lasts; it need not be there yet."""
    if isinstance(checkpoint, Path):
        return checkpoint / ".scratch"
    # The owner's pid in the name lets a later start remove what a killed one left behind.
    return Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-scratch-"))


def message_of(failure: BaseException) -> str:
    """What an error says, with its kind where that is no SparkError (a SparkError's text says it already)."""
    if isinstance(failure, SparkError):
        return failure.message
    return f"{type(failure).__name__}: {failure}"
