"""Tables of dead letters: what is in them, and reading letters again after what was wrong has been mended.

A replay is exactly once. It claims all its letters in one commit, appends their rows to its target under a transaction
of its own (`txnAppId`), and marks them. All it needs is in the claim, so one that was cut off is finished by the next,
and what it had written by then is not written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from riacho.errors import IllegalArgumentError
from riacho.identifiers import quote_if_needed
from riacho.ids import new_uuid

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from riacho.connectors.bad_records import Replayable

_REASONS: Final = [("id", pa.string()), ("why", pa.string())]
_WAITING: Final = "replay IS NULL AND replayed IS NULL"


@dataclass(frozen=True)
class LetterCount:
    """Letters of one source with one reason."""

    source: str
    reason: str
    waiting: int
    replayed: int
    first: Any
    last: Any


@dataclass(frozen=True)
class ReplayClaim:
    """What a replay does, kept with the letters that it has claimed.

    `options` go over those of the letters; `schema` is JSON, None for that of the letters or else of the target.
    """

    id: str
    into: str
    schema: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> ReplayClaim:
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True)
class Reread:
    """What became of letters: rows, one portion for each way of parsing; the letters they came from; and why not."""

    portions: Sequence[pa.Table]
    good: Sequence[str]
    bad: Mapping[str, str]

    @property
    def rows(self) -> int:
        return sum(portion.num_rows for portion in self.portions)


class DeadLetters:
    """One table of dead letters. `table`: its name, or the path of its folder.

    All methods raise PySpark's exceptions for what the server refuses.
    """

    def __init__(self, spark: SparkSession, table: str) -> None:
        self._spark = spark
        self.table = named(table)

    def summary(self, source: str | None = None) -> list[LetterCount]:
        """How many there are, by source and reason, the most frequent first."""
        frame = self._frame(source)
        found = (
            frame.groupBy("source", "reason")
            .agg(
                *(_sql(text) for text in (
                    "count_if(replayed IS NULL) waiting", "count_if(replayed IS NOT NULL) replayed",
                    "min(time) first", "max(time) last",
                ))
            )
            .collect()
        )  # fmt: skip
        return sorted((LetterCount(**row.asDict()) for row in found), key=lambda each: (-each.waiting, each.source))

    def letters(self, source: str | None = None, *, everything: bool = False, limit: int = 20) -> list[dict[str, Any]]:
        """The latest letters that wait for a replay, or of all."""
        frame = self._frame(source)
        frame = frame if everything else frame.where("replayed IS NULL")
        return [row.asDict() for row in frame.orderBy("time", ascending=False).limit(limit).collect()]

    def letter(self, start: str) -> dict[str, Any]:
        """The letter whose id begins so. Raises IllegalArgumentError if there is none, or more than one."""
        found = self._spark.table(self.table).where(_begins(start)).limit(2).collect()
        if len(found) != 1:
            raise IllegalArgumentError(
                f"{'No letter has' if not found else 'Several letters have'} an id like {start}…"
            )
        return found[0].asDict()

    def waiting(self, source: str | None = None, ids: Sequence[str] = (), limit: int | None = None) -> pa.Table:
        """The letters that no replay has taken on, the oldest first. `ids`: only those that begin so."""
        frame = self._frame(source).where(_WAITING)
        if ids:
            frame = frame.where(" OR ".join(map(_begins, ids)))
        frame = frame.orderBy("time", "source", "position")
        return (frame if limit is None else frame.limit(limit)).toArrow()

    def unfinished(self) -> list[ReplayClaim]:
        """Replays that were cut off."""
        found = self._spark.table(self.table).where("replay IS NOT NULL AND replayed IS NULL").select("replay")
        return [ReplayClaim.read(row.replay) for row in found.distinct().collect()]

    def reread(self, letters: pa.Table, claim: ReplayClaim) -> Reread:
        """Parse letters as the claim says; nothing is changed. Raises IllegalArgumentError for a format that cannot."""
        portions: list[pa.Table] = []
        good: list[str] = []
        bad: dict[str, str] = {}
        for kind, options, part in _groups(letters):
            ids, raws = part["id"].to_pylist(), part["raw"].to_pylist()
            source = _source(kind, {**options, **claim.options})
            wrong: dict[int, str] = {}

            def fail(place: int, why: BaseException | str, wrong: dict[int, str] = wrong) -> None:
                wrong[place] = str(why)

            rows = source.parse_again(self._schema(options, claim), raws, fail)
            bad |= {ids[place]: why for place, why in wrong.items()}
            good += [each for place, each in enumerate(ids) if place not in wrong]
            if rows.num_rows:
                portions.append(rows)
        return Reread(portions, good, bad)

    def replay(self, claim: ReplayClaim, again: Reread) -> int:
        """Claim the letters that could be read and replay them; how many this was, fewer if another was faster.

        A target that does not take their rows is met before the claim, which nobody could finish then.
        """
        for rows in again.portions:
            self._append(self._spark.createDataFrame(rows).limit(0), claim.into, {})
        # In one commit: whoever finds a part of a claim and finishes it would leave the rest without its rows.
        self._merge(pa.table({"id": pa.array(again.good, pa.string())}), f"replay = {_text(claim.text)}", _WAITING)
        return self.finish(claim)

    def finish(self, claim: ReplayClaim) -> int:
        """Do what is left of a replay; the number of its letters.

        Raises IllegalArgumentError if letters cannot be read again that could when they were claimed.
        """
        mine = f"replay = {_text(claim.text)} AND replayed IS NULL"
        letters = self._spark.table(self.table).where(mine).orderBy("id").toArrow()
        if not letters.num_rows:
            return 0
        again = self.reread(letters, claim)
        if again.bad:
            raise IllegalArgumentError(
                f"The replay {claim.id} into {claim.into} was cut off and cannot be finished: {len(again.bad)} of its "
                f"letters cannot be read now ({next(iter(again.bad.values()))}). Install what it was begun with."
            )
        for number, rows in enumerate(again.portions):
            once = {"txnAppId": f"riacho-dead-letters-{claim.id}", "txnVersion": str(number)}
            self._append(self._spark.createDataFrame(rows), claim.into, once)
        self._update("replayed = current_timestamp()", mine)
        return int(letters.num_rows)

    def tell(self, bad: Mapping[str, str]) -> None:
        """Keep why letters still cannot be read."""
        reasons = pa.table({"id": list(bad.keys()), "why": list(bad.values())}, pa.schema(_REASONS))
        self._merge(reasons, "reason = told.why", f"reason <> told.why AND {_WAITING}")

    def _frame(self, source: str | None) -> DataFrame:
        frame = self._spark.table(self.table)
        return frame if source is None else frame.where(f"source = {_text(source)}")

    @staticmethod
    def _append(rows: DataFrame, into: str, options: Mapping[str, str]) -> None:
        writer = rows.write.format("delta").mode("append").options(**options)
        if "/" in into:
            writer.save(into)
        else:
            writer.saveAsTable(into)

    def _update(self, what: str, which: str) -> None:
        self._spark.sql(f"UPDATE {self.table} SET {what} WHERE {which}").collect()  # noqa: S608 - texts are quoted

    def _merge(self, told: pa.Table, what: str, which: str) -> None:
        """An UPDATE of the letters that `told` names, in one commit; none if it names none of these."""
        if not told.num_rows:
            return
        view = f"riacho_told_{new_uuid().replace('-', '')}"
        self._spark.createDataFrame(told).createOrReplaceTempView(view)
        try:
            self._spark.sql(
                f"MERGE INTO {self.table} letters USING {view} told ON letters.id = told.id "
                f"WHEN MATCHED AND {which} THEN UPDATE SET {what}"
            ).collect()
        finally:
            self._spark.catalog.dropTempView(view)

    def _schema(self, options: Mapping[str, str], claim: ReplayClaim) -> StructType:
        from pyspark.sql.types import StructType

        text = claim.schema or options.get("schema_json")
        if text:
            return StructType.fromJson(json.loads(text))
        return self._spark.table(named(claim.into)).schema


def new_claim(into: str, schema: StructType | None, options: Mapping[str, str]) -> ReplayClaim:
    """A replay that has not begun."""
    return ReplayClaim(new_uuid(), into, None if schema is None else schema.json(), options)


def named(table: str) -> str:
    """A table as SQL names it: a path is ``delta.`path` ``."""
    if "/" in table:
        return f"delta.`{table}`"
    return ".".join(map(quote_if_needed, table.split("."))) if "`" not in table else table


def _groups(letters: pa.Table) -> Iterator[tuple[str, dict[str, str], pa.Table]]:
    """The letters that are parsed alike, in an order that is the same each time."""
    import pyarrow.compute as pc

    both = sorted(set(zip(letters["format"].to_pylist(), letters["options"].to_pylist(), strict=True)))
    for kind, options in both:
        alike = pc.and_(pc.equal(letters["format"], kind), pc.equal(letters["options"], options))
        yield kind, json.loads(options), letters.filter(alike)


def _source(format: str, options: Mapping[str, str]) -> Replayable:
    from riacho.connectors import connector

    try:
        cls = connector(format)
    except KeyError:
        raise IllegalArgumentError(f"There is no connector {format!r} to read its letters with") from None
    if not hasattr(cls, "parse_again"):
        raise IllegalArgumentError(f"The connector {format} cannot read a single record again; its letters stay")
    return cast("Replayable", cls(dict(options)))


def _begins(start: str) -> str:
    """The condition that an id begins so, whatever LIKE takes for a pattern."""
    return f"startswith(id, {_text(start)})"


def _text(value: str) -> str:
    """A text as SQL writes it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _sql(text: str) -> Any:
    from pyspark.sql.functions import expr

    return expr(text)
