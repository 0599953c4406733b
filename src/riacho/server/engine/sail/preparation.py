"""What every plan and every statement goes through on its way to the engine: one list of steps, in one place.

A step takes a relation and gives one that means to the engine what the first means to Spark. A statement is text in a
`SQL` relation, as a query is, so steps see both in one form. Two steps of a session's life are not a plan's, and so not
here: telling the engine of tables (`before_call`), and what riacho itself does instead of the engine.

A streaming query's plan is prepared once, when it starts; its batches are not prepared again (`SailEngine.clone`). For
all else a plan may be prepared more than once, so a step must do no harm when it is applied to its own result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from google.protobuf.message import Message

from riacho.protos import pb
from riacho.server.engine.base import Step, Surroundings
from riacho.server.engine.sail.dialect import in_engine_words, keys_of_groups
from riacho.server.engine.sail.links import plain_paths
from riacho.server.engine.sail.stars import with_their_tables
from riacho.server.engine.sail.typed import typed_plan
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.walk import children
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import QUERY_STARTS


class Preparation:
    """The steps: what types decide, the engine's words, and `further` ones that know what the engine does not.

    Types come first, for their rules are in Spark's words; to find the columns of a part of a plan, that part goes
    through the other steps. A stream's types are found where its sources are known (`streaming.planning`). Paths come
    last, for further steps find them.
    """

    def __init__(self, further: Sequence[Step] = ()) -> None:
        self._steps: tuple[Step, ...] = (_engine_words, *further, _plain_paths)

    def relation(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation`, prepared; the same object if it was so already. Raises what steps raise."""
        if not is_streaming(relation):
            relation = self.typed(relation, surroundings, lambda part: part)
        return self._worded(relation, surroundings)

    def typed(
        self, relation: pb.Relation, surroundings: Surroundings, without_rows: Callable[[pb.Relation], pb.Relation]
    ) -> pb.Relation:
        """`relation` with what types decide. `without_rows`: see `EngineSession.typed`."""
        parts = replace(surroundings, rows=False)
        session = surroundings.session
        return typed_plan(relation, lambda part: session.columns(self._worded(without_rows(part), parts)), session.zone)

    def _worded(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation` after the steps that need no types."""
        for step in self._steps:
            relation = step(relation, surroundings)
        return relation

    def message(self, message: Message, surroundings: Surroundings) -> None:
        """Prepare, in place, each relation of a request or command.

        A query that comes as a command is only read then, and runs as a plan of its own: its types can wait.
        """
        prepare = self._worded if _waits(message) else self.relation
        for relation in list(children(message)):
            prepared = prepare(relation, surroundings)
            if prepared is not relation:
                relation.CopyFrom(prepared)


def _waits(message: Message) -> bool:
    """Whether a request is a text that comes as a command, and whose types can wait: a query's, or that of a view."""
    if not isinstance(message, pb.ExecutePlanRequest) or not message.plan.command.HasField("sql_command"):
        return False
    given = message.plan.command.sql_command.input
    text = (given.with_relations.root if given.HasField("with_relations") else given).sql.query
    first = next((token for token in tokenize(text) if not token.is_symbol("(")), None)
    return first is not None and (first.word in QUERY_STARTS or first.word == "CREATE")


def _engine_words(relation: pb.Relation, _: Surroundings) -> pb.Relation:
    return in_engine_words(keys_of_groups(with_their_tables(relation)))


def _plain_paths(relation: pb.Relation, _: Surroundings) -> pb.Relation:
    return plain_paths(relation)
