"""As much of the Hugging Face Hub as its own client asks for: repositories of small files, in memory."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubServer(ThreadingHTTPServer):
    """Keeps the files of each repository by name.

    Attributes:
        repositories: Name of the repository -> name of the file -> content.
        asked: Names of the files that were fetched.
        answer: Sends a file in another way; None for the usual one.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.answer: Callable[[BaseHTTPRequestHandler, str], None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving_hub() -> Iterator[HubServer]:
    server = HubServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.repositories.setdefault(name, {})
            self._reply({"url": f"{self.server.url}/{name}"})
        elif path == "/api/validate-yaml":
            self._reply({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            self._reply(
                {
                    "files": [
                        {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for each in files
                    ]
                }
            )
        elif "/commit/" in path:
            files = self.server.repositories[_repository(path)]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = commit_of(files)
            self._reply(
                {
                    "success": True,
                    "commitOid": commit,
                    "commitUrl": f"{self.server.url}/{_repository(path)}/commit/{commit}",
                }
            )
        else:
            self._reply({"error": path}, 404)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/"):
            name = _repository(path)
            files = self.server.repositories.get(name)
            if files is None:
                self._reply({"error": "Repository not found"}, 404)
                return
            if "/tree/" in path:
                self._reply(
                    [
                        {"type": "file", "path": each, "size": len(files[each]), "oid": "0" * 40}
                        for each in files
                    ]
                )
                return
            self._reply(
                {
                    "id": name,
                    "modelId": name,
                    "sha": commit_of(files),
                    "siblings": [{"rfilename": each} for each in files],
                }
            )
        else:
            user, name, _, _, file = path.removeprefix("/").split("/", 4)
            self._send(f"{user}/{name}", file)

    do_HEAD = do_GET

    def _send(self, name: str, file: str) -> None:
        files = self.server.repositories.get(name)
        if files is None or file not in files:
            self._reply({"error": file}, 404, "RepoNotFound" if files is None else "EntryNotFound")
            return
        if self.command == "GET":
            self.server.asked.append(file)
        if self.server.answer is not None:
            self.server.answer(self, file)
            return
        headers = {"ETag": f'"{hashlib.sha1(files[file]).hexdigest()}"', "X-Repo-Commit": commit_of(files)}
        self._answer(files[file], headers, "application/octet-stream")

    def _reply(self, content: object, status: int = 200, code: str = "RepoNotFound") -> None:
        headers = {"X-Error-Code": code} if status == 404 else {}
        self._answer(json.dumps(content).encode(), headers, "application/json", status)

    def _answer(self, content: bytes, headers: dict[str, str], kind: str, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _repository(path: str) -> str:
    return "/".join(path.split("/")[3:5])
