"""A web server on the loopback interface that serves a folder with range requests, and fails on demand."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Answer:
    """What a request would get; faults change it."""

    path: str
    start: int
    content: bytes
    status: int
    headers: dict[str, str]
    cut_at: int | None = None
    stall_at: int | None = None
    stall_seconds: float = 0.0

    @property
    def is_member(self) -> bool:
        """Whether it is a large part of an archive: neither its directory nor a table."""
        return self.path.endswith(".zip") and len(self.content) > 70_000


Fault = Callable[[Answer], None]


@dataclass
class RangeServer:
    """The server as tests see it.

    Attributes:
        url: Its address, without a slash at the end.
        faults: Applied to the next answers about members, one each; `always` to all answers.
        sent: Bytes sent so far, heads included.
        requests: (path, first byte, number of bytes) of each request.
    """

    url: str
    faults: list[Fault] = field(default_factory=list)
    always: list[Fault] = field(default_factory=list)
    sent: int = 0
    requests: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def moved(self) -> int:
        return self.sent

    def apply(self, answer: Answer) -> None:
        self.requests.append((answer.path, answer.start, len(answer.content)))
        for fault in self.always:
            fault(answer)
        if self.faults and answer.is_member:
            self.faults.pop(0)(answer)


def cut(at: int) -> Fault:
    """Close the connection after so many bytes."""
    return lambda answer: setattr(answer, "cut_at", at)


def stall(at: int, seconds: float) -> Fault:
    """Send nothing for a while after so many bytes."""

    def fault(answer: Answer) -> None:
        answer.stall_at, answer.stall_seconds = at, seconds

    return fault


def status(code: int, headers: dict[str, str] | None = None) -> Fault:
    """Refuse with a status."""

    def fault(answer: Answer) -> None:
        answer.status, answer.content, answer.headers = (
            code,
            b"no",
            {"Content-Length": "2", **(headers or {})},
        )

    return fault


def wrong_length(extra: int) -> Fault:
    """Announce more or fewer bytes than are sent."""

    def fault(answer: Answer) -> None:
        answer.headers["Content-Length"] = str(len(answer.content) + extra)

    return fault


def flip(at: int) -> Fault:
    """Invert one byte."""

    def fault(answer: Answer) -> None:
        answer.content = answer.content[:at] + bytes([answer.content[at] ^ 0xFF]) + answer.content[at + 1 :]

    return fault


def replaced(answer: Answer) -> None:
    """Serve as if the file had been exchanged."""
    answer.headers["ETag"] = '"another"'


@contextmanager
def serve(folder: Path, ranges: bool = True) -> Iterator[RangeServer]:
    """Serve `folder` for as long as the context lasts."""
    state = RangeServer(url="")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            answer = self._answer()
            state.apply(answer)
            self.close_connection = True
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            state.sent += 300
            self.end_headers()
            try:
                self._send(answer)
            except OSError:
                pass

        def _answer(self) -> Answer:
            path = folder / self.path.lstrip("/").partition("?")[0]
            if not path.is_file():
                return Answer(self.path, 0, b"absent", 404, {"Content-Length": "6"})
            size, stat = path.stat().st_size, path.stat()
            asked = self.headers.get("Range")
            if asked is None or not ranges:
                content = path.read_bytes()
                return Answer(self.path, 0, content, 200, {"Content-Length": str(len(content))})
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, size)
            if start >= size:
                return Answer(self.path, start, b"", 416, {"Content-Length": "0"})
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(end - start)
            headers = {
                "Content-Length": str(len(content)),
                "Content-Range": f"bytes {start}-{end - 1}/{size}",
                "ETag": f'"{size}-{stat.st_mtime_ns}"',
            }
            return Answer(self.path, start, content, 206, headers)

        def _send(self, answer: Answer) -> None:
            end = len(answer.content) if answer.cut_at is None else answer.cut_at
            position = 0
            while position < end:
                block = answer.content[position : min(end, position + 16_384)]
                if answer.stall_at is not None and position >= answer.stall_at:
                    time.sleep(answer.stall_seconds)
                    answer.stall_at = None
                self.wfile.write(block)
                state.sent += len(block)
                position += len(block)

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients that hang up are part of the tests

    with Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
