"""What riacho reads, what it writes itself, and what new tables ask of others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import UnsupportedOperationError
from riacho.server.delta.actions import Metadata, Protocol
from riacho.server.delta.protocol import AppendRoute, append_route, protocol_for, require_readable, upgraded

TABLE = Path("/t")
PLAIN = '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}'
SCHEMA = pa.schema([("a", pa.int64())])


def metadata(schema: str = PLAIN, **configuration: str) -> Metadata:
    return Metadata("id", schema, configuration={key.replace("_", "."): value for key, value in configuration.items()})


@pytest.mark.parametrize(
    ("schema", "properties", "expected"),
    [
        (SCHEMA, {}, Protocol(1, 2)),
        (
            SCHEMA,
            {"delta.enableChangeDataFeed": "true"},
            Protocol(1, 7, frozenset(), frozenset({"appendOnly", "invariants", "changeDataFeed"})),
        ),
        (
            pa.schema([("a", pa.list_(pa.timestamp("us")))]),
            {},
            Protocol(3, 7, frozenset({"timestampNtz"}), frozenset({"appendOnly", "invariants", "timestampNtz"})),
        ),
        (pa.schema([("a", pa.timestamp("us", "UTC"))]), {"x": "y"}, Protocol(1, 2)),
    ],
)
def test_new_tables_ask_for_as_little_as_spark_does(
    schema: pa.Schema, properties: dict[str, str], expected: Protocol
) -> None:
    assert protocol_for(schema, properties) == expected


@pytest.mark.parametrize(
    "properties",
    [
        {"delta.columnMapping.mode": "name"},
        {"delta.enableRowTracking": "true"},
        {"delta.enableInCommitTimestamps": "true"},
        {"delta.checkpointPolicy": "v2"},
        {"delta.feature.rowTracking": "supported"},
    ],
)
def test_what_riacho_cannot_keep_up_is_refused(properties: dict[str, str]) -> None:
    with pytest.raises(UnsupportedOperationError, match="DELTA_UNSUPPORTED_FEATURES_IN_CONFIG"):
        protocol_for(SCHEMA, properties)


def test_a_protocol_is_only_raised() -> None:
    plain, feed = Protocol(1, 2), protocol_for(SCHEMA, {"delta.enableChangeDataFeed": "true"})
    assert upgraded(plain, plain) == plain
    assert upgraded(feed, plain) == feed
    assert upgraded(plain, feed) == feed
    assert upgraded(Protocol(1, 4), feed).writer_features == frozenset(
        {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"}
    )


features = st.frozensets(st.sampled_from(["appendOnly", "invariants", "changeDataFeed", "timestampNtz"]))


@given(features, features)
def test_upgrading_keeps_all_features(have: frozenset[str], need: frozenset[str]) -> None:
    result = upgraded(Protocol(1, 7, frozenset(), have), Protocol(1, 7, frozenset(), need))
    assert result.writer_features == have | need


class TestAppending:
    def test_plain_tables_are_written_directly(self) -> None:
        listed = Protocol(1, 7, frozenset(), frozenset({"appendOnly", "checkConstraints", "generatedColumns"}))
        assert append_route(TABLE, listed, metadata()) is AppendRoute.DIRECT

    def test_generated_columns_are_computed(self) -> None:
        described = metadata(PLAIN.replace('"metadata":{}', '"metadata":{"delta.generationExpression":"b + 1"}'))
        assert append_route(TABLE, Protocol(1, 4), described) is AppendRoute.COMPUTED

    @pytest.mark.parametrize(
        ("protocol", "described"),
        [
            (Protocol(1, 7, frozenset(), frozenset({"rowTracking"})), metadata()),
            (Protocol(1, 7, frozenset(), frozenset({"somethingNew"})), metadata()),
            (Protocol(2, 5), metadata(delta_columnMapping_mode="name")),
            (Protocol(1, 6), metadata(PLAIN.replace('"metadata":{}', '"metadata":{"delta.identity.start":1}'))),
        ],
    )
    def test_what_neither_may_write(self, protocol: Protocol, described: Metadata) -> None:
        with pytest.raises(UnsupportedOperationError, match="DELTA_UNSUPPORTED_FEATURES_FOR_WRITE"):
            append_route(TABLE, protocol, described)


def test_what_cannot_be_read() -> None:
    require_readable(TABLE, Protocol(3, 7, frozenset({"deletionVectors", "timestampNtz"})), metadata())
    with pytest.raises(UnsupportedOperationError, match="DELTA_UNSUPPORTED_FEATURES_FOR_READ.*somethingNew"):
        require_readable(TABLE, Protocol(3, 7, frozenset({"somethingNew"})), metadata())
    with pytest.raises(UnsupportedOperationError, match="columnMapping"):
        require_readable(TABLE, Protocol(2, 5), metadata(delta_columnMapping_mode="id"))
