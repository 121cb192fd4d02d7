"""Requests over HTTP; bad connections are tested in tests/integration/test_remote_preparation.py."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from range_server import RangeServer

from datamodules.archive.http_file import HttpFile, TransferPolicy
from datamodules.errors import AbsentError, OptionError, ReleaseError

HASTY = TransferPolicy(attempts=1)


@contextmanager
def answering(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers every request in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def redirect(target: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return answer


def test_ranges_and_whole_files(web: Path, server: RangeServer) -> None:
    (web / "a.bin").write_bytes(bytes(range(100)))
    file = HttpFile(f"{server.url}/a.bin", HASTY)
    assert file.read(10, 20) == bytes(range(10, 20))
    assert file.size == 100 and file.version.startswith("100-")
    assert file.read_all(100) == bytes(range(100))
    assert file.transferred == 110
    with pytest.raises(AbsentError, match=r"answered 404"):
        HttpFile(f"{server.url}/none", HASTY).read_all(100)


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_redirects_to_other_schemes_are_refused(scheme: str) -> None:
    with (
        answering(redirect(scheme)) as url,
        pytest.raises(ReleaseError, match=r"redirects to another|answered 302"),
    ):
        HttpFile(f"{url}/a", HASTY).read_all(100)


def test_redirects_to_other_hosts_are_refused(web: Path, server: RangeServer) -> None:
    (web / "a.bin").write_bytes(b"abc")
    with (
        answering(redirect(f"{server.url}/a.bin")) as url,
        pytest.raises(ReleaseError, match=r"redirects to another server, http://127.*\n.*final address"),
    ):
        HttpFile(f"{url}/a", HASTY).read_all(100)
    assert not server.requests


def test_redirects_within_the_server_are_followed() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.path == "/old":
            return redirect("/new")(request)
        request.send_response(200)
        request.send_header("Content-Length", "3")
        request.end_headers()
        request.wfile.write(b"abc")
        return None

    with answering(answer) as url:
        assert HttpFile(f"{url}/old", HASTY).read_all(100) == b"abc"


def test_an_endless_table_is_given_up() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"\n" * 65_536)
        except OSError:
            pass

    with (
        answering(answer) as url,
        pytest.raises(ReleaseError, match=r"sends more than 1,000,000 bytes, where a table"),
    ):
        HttpFile(f"{url}/a.csv", HASTY).read_all(1_000_000)


def test_addresses_that_are_none() -> None:
    for url in ("http://", "http://[1/x", "http://127.0.0.1:port/x"):
        with pytest.raises(ReleaseError, match=r"http://"):
            HttpFile(url, HASTY).read_all(10)


def test_policies_that_make_no_sense() -> None:
    with pytest.raises(OptionError, match=r"transfer\.attempts=0"):
        TransferPolicy(attempts=0)
    assert TransferPolicy(longest_pause_seconds=5).pause(10, asked=100.0) == 5
