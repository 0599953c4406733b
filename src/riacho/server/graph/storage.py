"""Where a pipeline keeps the checkpoints of its flows, in Spark's layout.

    <storage>/_checkpoints/<catalog>/<database>/<table>/<flow>/<N>/     flows to tables
    <storage>/_checkpoints/<sink>/<flow>/<N>/                           flows to sinks

N counts from 0; a full refresh starts the next one and keeps those before it. Inside lies an ordinary streaming
checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from riacho.errors import UnsupportedOperationError
from riacho.server.graph import failures
from riacho.server.graph.names import Identifier
from riacho.server.streaming.checkpoint import Checkpoint
from riacho.storage import Place, is_object, matching, place_of

CHECKPOINTS = "_checkpoints"


@dataclass(frozen=True)
class FlowCheckpoint:
    """One generation of a flow's checkpoint: `<directory>/<generation>`."""

    directory: Place
    generation: int

    @property
    def path(self) -> Place:
        return self.directory / str(self.generation)

    @property
    def is_committed(self) -> bool:
        """Whether a batch of it has been written to its end."""
        return Checkpoint(self.path).latest_commit() is not None

    @property
    def next(self) -> FlowCheckpoint:
        """The generation after this one."""
        return FlowCheckpoint(self.directory, self.generation + 1)


@dataclass(frozen=True)
class Storage:
    """The storage root of a pipeline. Looks; makes nothing."""

    root: Place

    @classmethod
    def at(cls, uri: str) -> Storage:
        """The storage that a pipeline spec names.

        Raises IllegalArgumentError if it is empty, PIPELINE_STORAGE_ROOT_INVALID if it is not an absolute path with a
        scheme, UnsupportedOperationError for a scheme that is not known.
        """
        if not uri:
            raise failures.storage_missing()
        parts = urlsplit(uri)
        if not parts.scheme or not (parts.path.startswith("/") or parts.netloc):
            raise failures.storage_invalid(uri)
        if is_object(uri):
            return cls(place_of(unquote(uri)))
        if parts.scheme.lower() != "file":
            raise UnsupportedOperationError(
                f"Pipeline storage at {uri} is not supported: riacho keeps checkpoints on a local disk or in "
                "object storage. Set `storage` in the pipeline spec to a file:// or s3a:// URI."
            )
        return cls(Path(unquote(parts.path)))

    def current(self, target: Identifier, flow: Identifier) -> tuple[FlowCheckpoint, bool]:
        """The newest generation of a flow's checkpoint, and whether it exists yet."""
        directory = self.root / CHECKPOINTS / PurePosixPath(*target.parts) / flow.name
        generations = [int(entry.name) for entry in matching(directory, "*") if entry.name.isdigit() and entry.is_dir()]
        return FlowCheckpoint(directory, max(generations, default=0)), bool(generations)
