"""The object storage of the tests does what riacho relies on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from obstore.exceptions import AlreadyExistsError

from riacho.testing.s3 import Bucket


def test_a_key_has_one_winner(bucket: Bucket) -> None:
    def put(key: int, who: int) -> bool:
        try:
            bucket.store.put(f"k/{key}", f"{who}".encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [pool.submit(put, key, who) for key in range(5) for who in range(8)]
    assert sum(each.result() for each in won) == 5
    assert bucket.keys("k") == [f"k/{key}" for key in range(5)]


def test_a_bucket_keeps_what_it_is_given(bucket: Bucket) -> None:
    bucket.put("a/x", "text")
    bucket.put("a b/ä%20", b"\x00")
    assert (bucket.text("a/x"), bucket.get("a b/ä%20")) == ("text", b"\x00")
    assert bucket.keys() == ["a b/ä%20", "a/x"]
    bucket.delete("a/x")
    with pytest.raises(FileNotFoundError):
        bucket.get("a/x")
