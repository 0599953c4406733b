"""The steps that every plan and every statement goes through on its way to the engine: one list, in one place.

A step takes a relation and returns one that means to the engine what the original means to Spark. A statement is text
in a `SQL` relation, as a query is, so steps see both in one form. Two steps concern the session and not the plan, so
they are not here: telling the engine about tables (`before_call`), and what riacho does itself instead of the engine.

A streaming query's plan is prepared once, when it starts; its batches are not prepared again (`SailEngine.clone`). Any
other plan may be prepared more than once, so a step must be harmless when it is applied to its own result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, cast

import pyarrow as pa
from google.protobuf.message import Message

from riacho.protos import pb
from riacho.server.engine.base import OWN_READ, Keep, OwnRows, Step, Surroundings
from riacho.server.engine.sail.dialect import in_engine_words, keys_of_groups
from riacho.server.engine.sail.links import plain_paths
from riacho.server.engine.sail.local_rows import with_inner_nulls
from riacho.server.engine.sail.own_functions import Make, OwnFunction, made_in
from riacho.server.engine.sail.stars import with_their_tables
from riacho.server.engine.sail.typed import typed_plan
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.walk import children
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import QUERY_STARTS


class _MakesFunctions(Protocol):
    """What every session that plans are prepared for is."""

    def make_function(self, function: OwnFunction) -> None: ...


class Preparation:
    """The steps: rewrites that depend on types, the engine's dialect, and `further` steps with knowledge of their own.

    Types come first, because their rules are written in Spark's dialect; to find the columns of a part of a plan, that
    part goes through the other steps. A stream's types are found where its sources are known (`streaming.planning`).
    Paths come last, because the further steps find them.
    """

    def __init__(self, further: Sequence[Step] = (), own_rows: OwnRows | None = None) -> None:
        self._steps: tuple[Step, ...] = (_inner_nulls, _engine_words, *further, _plain_paths)
        self._own_rows = own_rows

    def relation(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation`, prepared; the same object if nothing had to change. Raises what the steps raise."""
        if not is_streaming(relation):
            relation = self.typed(relation, surroundings, lambda part: part)
        return self._worded(relation, surroundings)

    def typed(
        self, relation: pb.Relation, surroundings: Surroundings, without_rows: Callable[[pb.Relation], pb.Relation]
    ) -> pb.Relation:
        """`relation` after the rewrites that depend on types. `without_rows`: see `EngineSession.typed`."""
        parts = replace(surroundings, rows=False)
        session = surroundings.session

        def columns(part: pb.Relation) -> pa.Schema:
            return session.columns(self._worded(without_rows(part), parts))

        with made_in(_maker(surroundings)):
            return typed_plan(relation, columns, session.zone)

    def _worded(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation` after the steps that do not depend on types."""
        for step in self._steps:
            relation = step(relation, surroundings)
        return relation

    def bound(self, relation: pb.Relation, surroundings: Surroundings, keep: Keep) -> pb.Relation:
        """A prepared `relation` as it is sent: with rows in place of the reads that the engine cannot do.

        The same object if it has no such read. The rows stay until `keep` ends what it is given. Raises SparkError.
        """
        if self._own_rows is None or not has_own_reads(relation.SerializeToString()):
            return relation
        return self._own_rows.bound(relation, surroundings, keep)

    def message(self, message: Message, surroundings: Surroundings) -> None:
        """Prepare each relation of a request or command in place.

        A query that arrives as a command is only parsed at that point, and runs later as a plan of its own: its types
        can wait.
        """
        prepare = self._worded if waits(message) else self.relation
        for relation in list(children(message)):
            prepared = prepare(relation, surroundings)
            if prepared is not relation:
                relation.CopyFrom(prepared)


def has_own_reads(data: bytes) -> bool:
    """Whether a relation, or what contains it, has reads to be bound (in its bytes: certain if False)."""
    return _MARK in data


_MARK: Final = OWN_READ.encode()


def waits(message: Message) -> bool:
    """Whether a request is a SQL command whose types can wait: a query, or the definition of a view."""
    if not isinstance(message, pb.ExecutePlanRequest) or not message.plan.command.HasField("sql_command"):
        return False
    given = message.plan.command.sql_command.input
    text = (given.with_relations.root if given.HasField("with_relations") else given).sql.query
    first = next((token for token in tokenize(text) if not token.is_symbol("(")), None)
    return first is not None and (first.word in QUERY_STARTS or first.word == "CREATE")


def _inner_nulls(relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
    return with_inner_nulls(relation) if surroundings.rows else relation


def _engine_words(relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
    with made_in(_maker(surroundings)):
        return in_engine_words(keys_of_groups(with_their_tables(relation)))


def _maker(surroundings: Surroundings) -> Make:
    return cast(_MakesFunctions, surroundings.session).make_function


def _plain_paths(relation: pb.Relation, _: Surroundings) -> pb.Relation:
    return plain_paths(relation)
