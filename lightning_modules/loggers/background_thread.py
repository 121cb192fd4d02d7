"""Calls made one after another in a thread of their own, so that nobody waits for them."""

import queue
import threading
from collections.abc import Callable

MOST_WAITING = 100_000


class BackgroundCalls:
    """Makes calls in the order in which they were submitted; `submit` returns at once.

    The thread does not keep the process alive. A call that raises is reported and does not keep the next one
    from being made.

    Args:
        name: Name of the thread.
        on_error: Told of each exception, in that thread.
        most_waiting: Calls beyond so many are dropped and reported as `queue.Full`, so that a call that hangs
            cannot fill the memory.
    """

    def __init__(
        self, name: str, on_error: Callable[[Exception], None], most_waiting: int = MOST_WAITING
    ) -> None:
        self._on_error = on_error
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue(most_waiting)
        self._closed = threading.Event()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], object]) -> None:
        """Have `call` made after those before it."""
        try:
            self._calls.put_nowait(call)
        except queue.Full as error:
            self._on_error(error)

    def wait(self, timeout: float) -> bool:
        """Whether all that was submitted so far is done within `timeout` seconds."""
        done = threading.Event()
        self.submit(done.set)
        return done.wait(timeout)

    def close(self, timeout: float) -> bool:
        """End the thread after what was submitted so far; whether that took less than `timeout` seconds."""
        self.submit(self._closed.set)
        return self._closed.wait(timeout)

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self._calls.get()()
            except Exception as error:
                self._on_error(error)
