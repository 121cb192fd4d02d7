"""Calls in a thread of their own."""

import queue
import threading
import time

from lightning_modules.loggers.background_thread import BackgroundCalls


def test_calls_are_made_in_order_and_an_error_does_not_end_them() -> None:
    made: list[int] = []
    errors: list[Exception] = []
    calls = BackgroundCalls("test", errors.append)
    for number in range(5):
        calls.submit(lambda number=number: made.append(10 // (number - 2)))
    assert calls.close(30.0)
    assert made == [-5, -10, 10, 5]
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_submit_and_wait_do_not_hang_with_a_call() -> None:
    begun, go = threading.Event(), threading.Event()
    errors: list[Exception] = []
    calls = BackgroundCalls("test", errors.append, most_waiting=2)
    start = time.monotonic()
    calls.submit(lambda: (begun.set(), go.wait(60.0)))
    assert begun.wait(30.0)
    calls.submit(lambda: None)
    assert not calls.wait(0.1)
    calls.submit(lambda: None)
    assert time.monotonic() - start < 45.0, "where the first call takes 60 s"
    assert [type(error) for error in errors] == [queue.Full], "one more than may wait"
    go.set()
    time.sleep(0.1)
    assert calls.close(30.0)
