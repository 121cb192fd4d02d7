"""A stand-in for the W&B backend on loopback: as much GraphQL and file streaming as W&B's client needs.

It keeps in memory what clients send, hands out a sweep's runs by W&B's own engine, and answers nothing
else. `python wandb_server.py PORT` serves until it is killed.
"""

import gzip
import json
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import yaml

ENTITY = "local"
API_KEY = "0123456789" * 4


@dataclass
class StoredRun:
    """What arrived of one run.

    Attributes:
        fields: Name, group, tags … as first sent.
        config: Name -> value, without W&B's own.
        history: Logged rows in order of their line numbers.
        files: Name -> content.
        exit_code: None while it runs.
        starts: How often a client began to write to it.
    """

    fields: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None
    starts: int = 0

    @property
    def history(self) -> list[dict[str, Any]]:
        return [self.lines[number] for number in sorted(self.lines)]


@dataclass
class StoredArtifact:
    """A version of an artifact: files by name, once it is committed."""

    name: str
    aliases: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


@dataclass
class StoredSweep:
    """A sweep, and the runs handed out so far: name -> parameters in W&B's form."""

    config: dict[str, Any]
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    limit: int = 100


class WandbServer(ThreadingHTTPServer):
    """Serves on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.RLock()
        self.runs: dict[str, StoredRun] = {}
        self.sweeps: dict[str, StoredSweep] = {}
        self.artifacts: dict[str, StoredArtifact] = {}
        self.operations: dict[str, int] = defaultdict(int)
        self.unknown: list[str] = []
        self.broken = False  # answers 500 to everything, like a backend that is down

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""

    def answer(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        self.operations[name] += 1
        method: Callable[..., dict[str, Any]] | None = getattr(self, f"graphql_{name}", None)
        if method is None:
            self.unknown.append(name)
            return {}
        with self.lock:
            return method(variables)

    def graphql_Viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "viewer": {
                "id": "u",
                "entity": ENTITY,
                "username": ENTITY,
                "email": "a@b.c",
                "flags": "{}",
                "teams": {"edges": []},
            }
        }

    def graphql_RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        bucket = run and {
            "id": variables["name"],
            "name": variables["name"],
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.fields["displayName"],
            "logLineCount": 0,
            "historyLineCount": len(run.lines),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "config": json.dumps({name: {"value": value} for name, value in run.config.items()}),
            "tags": run.fields["tags"],
            "notes": None,
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"model": {"id": "p", "name": variables["project"], "entity": _entity(), "bucket": bucket}}

    def graphql_UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, StoredRun(variables))
        run.starts += variables["host"] is not None
        config = json.loads(variables["config"] or "{}")
        run.config.update({key: item["value"] for key, item in config.items() if key != "_wandb"})
        project = {"id": "p", "name": variables["project"], "entity": _entity()}
        bucket = {"id": name, "name": name, "displayName": name, "description": None, "config": "{}"}
        bucket |= {"sweepName": variables["sweep"], "historyLineCount": len(run.lines), "project": project}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def graphql_CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/storage/{variables['run']}/{name}"}
            for name in variables["files"]
        ]
        return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}

    def graphql_UpsertSweep(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = f"sweep{len(self.sweeps)}"
        self.sweeps[name] = StoredSweep(yaml.safe_load(variables["config"]))
        project = {"id": "p", "name": variables["projectName"] or "p", "entity": _entity()}
        sweep = {"name": name, "project": project}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def graphql_SweepWithRuns(self, variables: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps[variables["sweep"]]
        found = {"id": variables["sweep"], "name": variables["sweep"], "state": "RUNNING"}
        found |= {"config": yaml.safe_dump(sweep.config), "runs": {"edges": []}}
        return {"project": {"sweep": found}}

    def graphql_CreateAgent(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": variables["sweep"]}}}

    def graphql_Heartbeat(self, variables: dict[str, Any]) -> dict[str, Any]:
        commands = []
        if not json.loads(variables["runState"]):  # the agent has nothing to do
            commands = [self.next_command(variables["id"])]
        return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}

    def graphql_ArtifactType(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def graphql_CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        asked = variables["input"]
        identity = f"artifact{len(self.artifacts)}"
        self.artifacts[identity] = StoredArtifact(
            asked["artifactCollectionName"], [alias["alias"] for alias in asked["aliases"]]
        )
        sequence = {"id": "s", "name": asked["artifactCollectionName"], "latestArtifact": None}
        artifact = {"id": identity, "state": "PENDING", "artifactSequence": sequence, "digest": "d"}
        return {"createArtifact": {"artifact": artifact}}

    def graphql_CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": self._manifest(variables["artifactID"])}

    def graphql_UpdateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": self._manifest(variables["artifactManifestID"])}

    def _manifest(self, identity: str) -> dict[str, Any]:
        url = f"{self.url}/storage/{identity}/manifest.json"
        return {
            "artifactManifest": {"id": identity, "file": {"id": "f", "uploadUrl": url, "uploadHeaders": []}}
        }

    def graphql_CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        nodes = []
        for file in variables["input"]["artifactFiles"]:
            identity = file["artifactID"]
            path = f"{identity}/{file['name']}"
            node = {"storagePath": path, "uploadUrl": f"{self.url}/storage/{path}", "uploadHeaders": []}
            node |= {"uploadMultipartUrls": None, "artifact": {"id": identity}}
            nodes.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def graphql_CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        identity = variables["artifactID"]
        self.artifacts[identity].committed = True
        return {"commitArtifact": {"artifact": {"id": identity, "digest": "d"}}}

    def next_command(self, sweep_name: str) -> dict[str, Any]:
        """What an idle agent is to do: a run with values drawn within their bounds."""
        sweep = self.sweeps[sweep_name]
        if len(sweep.runs) >= sweep.limit:
            return {"type": "exit"}
        generator = np.random.default_rng(len(sweep.runs))
        chosen = {
            name: {"value": float(generator.uniform(bounds["min"], bounds["max"]))}
            for name, bounds in sweep.config["parameters"].items()
        }
        name = f"{sweep_name}-{len(sweep.runs)}"
        sweep.runs[name] = chosen
        return {
            "type": "run",
            "run_id": name,
            "args": chosen,
            "program": sweep.config.get("program"),
        }

    def stream(self, run_name: str, content: dict[str, Any]) -> None:
        """Take one batch of rows."""
        with self.lock:
            run = self.runs[run_name]
            for name, chunk in content.get("files", {}).items():
                rows = (
                    [json.loads(line) for line in chunk["content"]]
                    if name.endswith(("jsonl", "json"))
                    else []
                )
                if name == "wandb-history.jsonl":
                    run.lines.update(enumerate(rows, chunk["offset"]))
                elif name == "wandb-summary.json":
                    run.summary = rows[-1]
            if content.get("complete"):
                run.exit_code = content["exitcode"]


def _entity() -> dict[str, str]:
    return {"id": "e", "name": ENTITY}


class Handler(BaseHTTPRequestHandler):
    """Routes `/graphql`, `/files/…/file_stream` and `/storage/…`; drops the client's telemetry."""

    protocol_version = "HTTP/1.1"
    server: WandbServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self._body()
        parts = self.path.strip("/").split("/")
        if self.server.broken:
            self._reply({}, 500)
        elif parts == ["graphql"]:
            query = json.loads(body)
            found = re.search(r"(?:query|mutation)\s+(\w+)", query["query"])
            self._reply({"data": self.server.answer(found[1], query.get("variables") or {})})
        else:
            if parts[-1] == "file_stream":
                self.server.stream(parts[3], json.loads(body))
            self._reply({})

    def do_PUT(self) -> None:
        body = self._body()
        _, _, owner, name = self.path.split("/", 3)
        with self.server.lock:
            stored = self.server.runs.get(owner) or self.server.artifacts.get(owner)
            if stored:
                stored.files[name] = body
        self._reply({}, 500 if self.server.broken else 200)

    do_GET = do_POST

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _reply(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[WandbServer]:
    """A stand-in that serves in a thread of this process."""
    server = WandbServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def blackhole() -> Iterator[str]:
    """The URL of a port that takes connections and never answers."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for connection in taken:
        connection.close()
