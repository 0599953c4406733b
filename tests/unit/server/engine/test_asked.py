"""Answers that are kept for the length of a block, and no longer."""

from __future__ import annotations

import threading

import pytest

from riacho.server.engine.asked import asking_once, forget, once


class _Engine:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self) -> int:
        self.asked += 1
        return self.asked


@pytest.fixture
def engine() -> _Engine:
    return _Engine()


def test_outside_a_block_every_question_is_asked(engine: _Engine) -> None:
    assert [once("a", engine.answer), once("a", engine.answer)] == [1, 2]


def test_in_a_block_a_question_is_asked_once(engine: _Engine) -> None:
    with asking_once():
        assert [once("a", engine.answer), once("b", engine.answer), once("a", engine.answer)] == [1, 2, 1]
    assert once("a", engine.answer) == 3


def test_a_change_of_the_session_ends_what_is_kept(engine: _Engine) -> None:
    with asking_once():
        once("a", engine.answer)
        forget()
        assert once("a", engine.answer) == 2


def test_another_thread_asks_for_itself(engine: _Engine) -> None:
    with asking_once():
        once("a", engine.answer)
        other = threading.Thread(target=lambda: once("a", engine.answer))
        other.start()
        other.join(10)
    assert engine.asked == 2


def test_an_error_is_not_kept(engine: _Engine) -> None:
    def fails() -> int:
        raise ValueError("no")

    with asking_once():
        with pytest.raises(ValueError, match="no"):
            once("a", fails)
        assert once("a", engine.answer) == 1
