"""One file on a web server, by range requests that survive a bad connection.

Python's own HTTP client, and no fsspec or requests: a member of an archive is one request for exactly its
bytes, and what happens at a stall, a cut, a refusal or a changed file is decided here and nowhere else.
fsspec's file reads ahead in blocks of 5 MB, and goes back to their beginning after an error.
"""

import email.utils
import functools
import http.client
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from datamodules.archive.byte_source import BLOCK_BYTES, ByteSource
from datamodules.errors import AbsentError, ReleaseError
from datamodules.options import at_least, positive

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_CONTACT_ATTEMPTS = 3
_KEPT = "what is finished is kept"


@dataclass(frozen=True)
class TransferPolicy:
    """How patient a download is.

    Attributes:
        attempts: Tries in a row without a single new byte before it gives up; at most three as long as the
            server has never answered, as the address is then the likelier cause.
        stall_seconds: How long the server may send nothing before the connection counts as lost.
        backoff_seconds: Pause after the first failure; it doubles with every further one, and a random part
            of it is left out so that many clients do not come back at once.
        longest_pause_seconds: Limit of the pause, also of one that the server asks for (`Retry-After`).

    Raises:
        OptionError: If a value makes no sense.
    """

    attempts: int = 8
    stall_seconds: float = 30.0
    backoff_seconds: float = 1.0
    longest_pause_seconds: float = 120.0

    def __post_init__(self) -> None:
        at_least("transfer.attempts", self.attempts, 1, "tries")
        positive("transfer.stall_seconds", self.stall_seconds, 3600, "seconds")
        positive("transfer.backoff_seconds", self.backoff_seconds, 3600, "seconds")
        positive("transfer.longest_pause_seconds", self.longest_pause_seconds, 86_400, "seconds")

    def pause(self, failures: int, asked: float | None) -> float:
        """Seconds to wait after so many failures in a row, of which the server may have asked for some."""
        own = self.backoff_seconds * 2 ** (failures - 1) * random.uniform(0.5, 1.0)
        return min(max(own, asked or 0.0), self.longest_pause_seconds)


class _Interrupted(Exception):
    """A transfer failed in a way that may pass.

    Args:
        reason: What happened.
        retry_after: Seconds that the server asked to wait.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class _Facts:
    """Size and entity tag of the file, as the server states them."""

    size: int
    etag: str


class HttpFile(ByteSource):
    """A file on a web server.

    Args:
        url: Its address, http or https.
        policy: How patient to be.
    """

    def __init__(self, url: str, policy: TransferPolicy | None = None) -> None:
        super().__init__()
        self.url = url
        self.policy = policy or TransferPolicy()
        self._facts: _Facts | None = None
        self._lock = threading.Lock()
        self._has_answered = False

    @property
    def location(self) -> str:  # noqa: D102
        return self.url

    @property
    def size(self) -> int:  # noqa: D102
        return self._known_facts().size

    @property
    def version(self) -> str:
        """Size and ETag (or date of the last change)."""
        facts = self._known_facts()
        return f"{facts.size}-{facts.etag}"

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`; after an interruption it goes on at the byte that is missing.

        Raises:
            ReleaseError: If the server refuses for good, the file changes meanwhile, or `policy.attempts`
                tries in a row bring nothing.
        """
        failures = 0
        while start < end:
            try:
                for block in self._request(start, end):
                    start += len(block)
                    failures = 0
                    yield block
            except _Interrupted as interruption:
                failures += 1
                self._pause_or_give_up(interruption, failures)

    def read_all(self, limit: int) -> bytes:
        """The whole of a small file, in a single request without ranges.

        Raises:
            ReleaseError: As `stream`, or if it has more than `limit` bytes.
        """
        failures = 0
        while True:
            try:
                with self._open({}) as response:
                    content = bytearray()
                    for block in self._body(response):
                        content += block
                        if len(content) > limit:
                            raise ReleaseError(
                                f"{self.url}: the server sends more than {limit:,} bytes, where a table of "
                                "a release was expected",
                                "check the address in a browser",
                            )
                    if len(content) == _content_length(response, len(content)):
                        return bytes(content)
                    raise _Interrupted(f"the connection was cut after {len(content):,} bytes")
            except _Interrupted as interruption:
                failures += 1
                self._pause_or_give_up(interruption, failures)

    def _known_facts(self) -> _Facts:
        if self._facts is None:
            self.read(0, 1)
        assert self._facts is not None
        return self._facts

    def _request(self, start: int, end: int) -> Iterator[bytes]:
        """One request; it may end early, with `_Interrupted` or without."""
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with self._open(headers) as response:
            end = min(end, self._check_range(response, start, end))
            announced = _content_length(response, end - start)
            if announced != end - start:
                raise _Interrupted(f"it announced {announced:,} bytes where {end - start:,} were asked for")
            received = 0
            for block in self._body(response):
                received += len(block)
                if received > end - start:
                    raise _Interrupted("it sent more than was asked for")
                yield block
            if received < end - start:
                raise _Interrupted(f"the connection was cut {end - start - received:,} bytes too early")

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._cancelled.is_set():
            raise ReleaseError(f"reading {self.url} was cancelled", f"start again: {_KEPT}")
        try:
            request = urllib.request.Request(self.url, headers=headers)
            response: http.client.HTTPResponse = _opener().open(request, timeout=self.policy.stall_seconds)
            self._has_answered = True
            return response
        except urllib.error.HTTPError as error:
            self._has_answered = True
            with error:
                if error.code in _RETRIED_STATUS:
                    reason = f"the server answered {error.code} {error.reason}"
                    raise _Interrupted(reason, _retry_after(error.headers.get("Retry-After"))) from error
                raise self._refusal(error) from error
        except urllib.error.URLError as error:
            raise _Interrupted(_reason(error.reason, self.policy)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(_reason(error, self.policy)) from error
        except ValueError as error:  # an address that is none
            raise ReleaseError(f"{self.url} is no address ({error})", "check `source`") from error

    def _body(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            # read1 hands on what has arrived, so that decoding starts before a block is full
            while block := response.read1(BLOCK_BYTES):
                self.transferred += len(block)
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(_reason(error, self.policy)) from error

    def _check_range(self, response: http.client.HTTPResponse, start: int, end: int) -> int:
        """Compare the answer with what was asked for; returns the size of the file."""
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            raise ReleaseError(
                f"{self.url}: the server does not support range requests (it answered {response.status})",
                "download the archive as a whole and set `source` to the zip file",
            )
        served, _, size = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("/")
        if not size.isdecimal() or served != f"{start}-{min(end, int(size)) - 1}":
            raise _Interrupted(f"it sent the range {served or 'of no name'} for {start}-{end - 1}")
        etag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        facts = _Facts(int(size), etag)
        with self._lock:
            self._facts = self._facts or facts
        if facts != self._facts:
            raise ReleaseError(
                f"{self.url} was replaced by another file while it was being read", f"start again: {_KEPT}"
            )
        if end > facts.size:
            raise ReleaseError(
                f"{self.url} ends at byte {facts.size:,}, before {end:,}: truncated", "check the address"
            )
        return facts.size

    def _refusal(self, error: urllib.error.HTTPError) -> ReleaseError:
        remedies = {
            401: "the address needs a log-in that this program cannot give",
            403: "access is forbidden: check your rights, or whether a signed address has expired",
            404: "nothing lies there: check the address",
            416: "the file is shorter than its own directory says: it was uploaded incompletely",
        }
        remedy = remedies.get(error.code, "check the address in a browser")
        kind = AbsentError if error.code in (401, 403, 404, 410) else ReleaseError
        return kind(
            f"{self.url}: the server answered {error.code} {error.reason}",
            f"{remedy}; or download the archive by other means and set `source` to the zip file",
        )

    def _pause_or_give_up(self, interruption: _Interrupted, failures: int) -> None:
        attempts = self.policy.attempts
        if failures >= (attempts if self._has_answered else min(attempts, _FIRST_CONTACT_ATTEMPTS)):
            raise ReleaseError(
                f"cannot read {self.url}: {interruption} ({failures} attempt(s) in a row)",
                f"check the connection and start again: {_KEPT}",
            ) from interruption
        self._cancelled.wait(self.policy.pause(failures, interruption.retry_after))


class _SameHostRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect within the server that was named, also from http to https; no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        upgrade = (old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname
        if (new.scheme, new.netloc) != (old.scheme, old.netloc) and not upgrade:
            raise ReleaseError(
                f"{req.full_url} redirects to another server, {new.scheme}://{new.netloc}",
                "if you trust it, give the final address as `source`",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Reads http and https, through the proxies that the environment names, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _SameHostRedirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: object, policy: TransferPolicy) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing arrived for {policy.stall_seconds:g} s"
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)


def _content_length(response: http.client.HTTPResponse, default: int) -> int:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else default


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
