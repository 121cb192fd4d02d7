"""Archives of the tiny release, on the disk and behind a server."""

import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from range_server import RangeServer, serve


@pytest.fixture(autouse=True)
def no_internet(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Only the machine itself may be reached."""
    if request.node.get_closest_marker("network"):
        return
    resolve = socket.getaddrinfo

    def resolve_locally(host: str, *arguments: object, **options: object) -> object:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, f"a test wanted to reach {host}")
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)


@pytest.fixture
def pack() -> Callable[..., Path]:
    """A function that packs a release's folder: `pack(folder, target)`, stored, as the official archive."""

    def make(
        folder: Path, target: Path, compression: int = zipfile.ZIP_STORED, root: str | None = None
    ) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = folder.name if root is None else root
        with zipfile.ZipFile(target, "w", compression) as archive:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                archive.write(path, f"{prefix}/{name}" if prefix else name)
        return target

    return make


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The folder that `server` serves."""
    folder = tmp_path / "web"
    folder.mkdir()
    return folder


@pytest.fixture
def server(web: Path) -> Iterator[RangeServer]:
    """A server with range support."""
    with serve(web) as running:
        yield running


@pytest.fixture
def tiny_url(tiny_release: Path, web: Path, server: RangeServer, pack: Callable[..., Path]) -> str:
    """The tiny release as a stored zip on the server, its table beside it."""
    pack(tiny_release, web / "maestro-v3.0.0.zip")
    (web / "maestro-v3.0.0.csv").write_bytes((tiny_release / "maestro-v3.0.0.csv").read_bytes())
    return f"{server.url}/maestro-v3.0.0.zip"
