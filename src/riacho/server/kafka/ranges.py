"""How much a batch takes of each partition, and how far behind it is. Pure. Source: Spark's `KafkaMicroBatchStream`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from riacho.server.kafka.offsets import Positions, TopicPartition


class Range(NamedTuple):
    """Messages of one partition, from `start` up to and without `end`."""

    partition: TopicPartition
    start: int
    end: int


def limited(limit: int, start: Mapping[TopicPartition, int], latest: Positions) -> Positions:
    """Where a batch of about `limit` messages ends: each partition has a part by how much there is in it, at least one.

    A partition that `start` lacks is taken as a whole.
    """
    sizes = {each: end - start[each] for each, end in latest.items() if each in start and end > start[each]}
    total = sum(sizes.values())
    if total < 1:
        return dict(latest)
    ends = dict(latest)
    for partition, size in sizes.items():
        part = limit * (size / total)
        taken = math.ceil(part) if part < 1 else math.floor(part)
        ends[partition] = min(latest[partition], start[partition] + taken)
    return ends


def new_messages(start: Mapping[TopicPartition, int], latest: Mapping[TopicPartition, int]) -> int:
    """How many offsets there are after `start`."""
    return sum(end - start.get(partition, 0) for partition, end in latest.items())


def behind(end: Mapping[TopicPartition, int], latest: Mapping[TopicPartition, int]) -> dict[str, str]:
    """What progress says of how far the end of a batch is behind the newest offsets."""
    gaps = [newest - end[partition] for partition, newest in latest.items() if partition in end]
    if not gaps:
        return {}
    return {
        "minOffsetsBehindLatest": str(min(gaps)),
        "maxOffsetsBehindLatest": str(max(gaps)),
        "avgOffsetsBehindLatest": str(sum(gaps) / len(gaps)),
    }
