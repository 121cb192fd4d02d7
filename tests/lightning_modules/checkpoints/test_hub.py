"""To the Hub and back by its own client, against a server of this machine."""

import contextlib
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hub_server import HubServer, serving_hub
from toy_models import make_vae

from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints import hub as repository_client
from lightning_modules.checkpoints import repository
from lightning_modules.errors import CheckpointError, InstallationError

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with serving_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "1/2/3/4/5/hub"))
        yield server


def test_there_and_back_without_a_difference(hub: HubServer, tmp_path: Path) -> None:
    model = make_vae()
    scores = [{"name": "log_mel_distance", "of": "reconstructions", "value": 3.512345, "unit": "dB"}]
    (tmp_path / "run/test").mkdir(parents=True)
    (tmp_path / "run/test/scores.json").write_text(json.dumps({"scores": scores}))
    model.trained_steps, model.trained_data = 1200, {"release": "v3.0.0", "train_performances": 962}
    address = model.push_to_hub("user/piano", run=tmp_path / "run")
    assert address.startswith(f"{hub.url}/user/piano/commit/")
    assert set(hub.repositories["user/piano"]) == {"config.json", "model.safetensors", "README.md"}
    card = hub.repositories["user/piano"]["README.md"].decode()
    for text in (
        "license: cc-by-nc-sa-4.0",
        "VAE, mono at 8,000 Hz, trained for 1,200 steps.",
        "MAESTRO](https://magenta.tensorflow.org/datasets/maestro) v3.0.0, which",
        "Recordings: 962 to train on.",
        "| `log_mel_distance` | 3.512 dB |",
        "lightning reconstruct piano piano.wav",
        'GenerativeModule.from_pretrained("user/piano")',
    ):
        assert text in card
    hub.repositories["user/piano"]["evil.py"] = b"raise SystemExit"
    hub.repositories["user/piano"]["pytorch_model.bin"] = b"pickle"
    again = GenerativeModule.from_pretrained("user/piano")
    assert set(hub.asked) <= set(repository.NAMES), "nothing else is fetched"
    assert type(again) is type(model) and again.trained_steps == 1200
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    torch.manual_seed(3)
    first = model.sample(2)
    torch.manual_seed(3)
    assert torch.equal(first, again.sample(2))


def test_what_is_not_there_is_named(hub: HubServer) -> None:
    with pytest.raises(CheckpointError, match=r"user/absent cannot be fetched \(.*\n.*`push_to_hub` made"):
        GenerativeModule.from_pretrained("user/absent")
    hub.repositories["user/other"] = {"pytorch_model.bin": b"pickle"}
    with pytest.raises(CheckpointError, match="holds no config"):
        GenerativeModule.from_pretrained("user/other")


def test_without_the_package_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InstallationError, match=r'huggingface_hub is missing\n.*"\.\[hub\]"'):
        GenerativeModule.from_pretrained("user/piano")


def headers(handler: BaseHTTPRequestHandler, status: int = 200, **given: str) -> bool:
    """Send the first lines of an answer; whether the content follows."""
    named = {
        "ETag": '"0"',
        "X-Repo-Commit": "0" * 40,
        **{key.replace("_", "-"): value for key, value in given.items()},
    }
    handler.send_response(status)
    for name, value in named.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    return handler.command == "GET"


def endless(handler: BaseHTTPRequestHandler, file: str) -> None:
    if headers(handler, Transfer_Encoding="chunked"):
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(2**16) + b"\r\n")


def giant(handler: BaseHTTPRequestHandler, file: str) -> None:
    if headers(handler, Content_Length=str(2**34)):
        handler.wfile.write(bytes(2**20))


def bomb(handler: BaseHTTPRequestHandler, file: str) -> None:
    content = gzip.compress(bytes(2**26))
    if headers(handler, Content_Length=str(len(content)), Content_Encoding="gzip"):
        handler.wfile.write(content)


def short(handler: BaseHTTPRequestHandler, file: str) -> None:
    if headers(handler, Content_Length="1000"):
        handler.wfile.write(b"{}")


def other_size(handler: BaseHTTPRequestHandler, file: str) -> None:
    if headers(handler, Content_Length="2", X_Linked_Size="1000"):
        handler.wfile.write(b"{}")


def drip(handler: BaseHTTPRequestHandler, file: str) -> None:
    if headers(handler, Content_Length="1000"):
        for _ in range(1000):
            handler.wfile.write(b" ")
            time.sleep(0.05)


def later(handler: BaseHTTPRequestHandler, file: str) -> None:
    headers(handler, 429, Retry_After="1000000", Content_Length="0")


def local_file(handler: BaseHTTPRequestHandler, file: str) -> None:
    headers(handler, 302, Location="file:///etc/hostname", Content_Length="0", X_Linked_Size="4")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endless, r"the server sends .* bytes or more of config\.json, and 1,048,576 bytes are read"),
        (giant, r"the server sends 17,179,869,184 bytes or more of config\.json"),
        (bomb, r"the server sends .* bytes or more of config\.json"),
        (short, "."),
        (other_size, "size 1000 but has size 2"),
        (drip, r"the server sent less than 1,048,576 bytes in 0\.5 s"),
        (later, r"the server sent less than 1,048,576 bytes in 0\.5 s"),
        (local_file, "missing an .http://. or .https://. protocol"),
    ],
)
def test_a_server_that_means_harm_is_one_sentence(
    answer: Callable[..., None], reason: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.repositories["user/evil"] = {"config.json": b"{}", "model.safetensors": b""}
    hub.answer = answer
    slow = answer in (drip, later)
    monkeypatch.setattr(repository_client, "STALL_SECONDS", 0.5 if slow else 60.0)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))
    began = time.monotonic()
    with pytest.raises(
        CheckpointError, match=rf"user/evil cannot be fetched \(.*{reason}.*\n.*`push_to_hub` made"
    ):
        GenerativeModule.from_pretrained("user/evil")
    assert time.monotonic() - began < 5.0
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2**20


@pytest.mark.usefixtures("hub")
def test_the_size_of_a_file_is_counted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A download has two bars where chunks are received and put together, and one that goes on has a part."""
    most = repository_client.LARGEST_BYTES["config.json"]

    def download(name: str, file: str, tqdm_class: type, **_: object) -> None:
        with tqdm_class(total=most) as received, tqdm_class(total=most, initial=most // 2) as put_together:
            received.update(most)
            put_together.update(most // 2)
            put_together.update(extra)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    extra = 0
    assert repository_client.fetched("user/piano").is_relative_to(tmp_path)
    extra = 1
    with pytest.raises(CheckpointError, match="1,048,577 bytes or more"):
        repository_client.fetched("user/piano")


@pytest.mark.parametrize("name", ["ETag", "X_Repo_Commit"])
def test_a_server_chooses_no_place_on_the_disk(name: str, hub: HubServer, tmp_path: Path) -> None:
    """Its client makes names of files of what a server calls a version."""
    make_vae().push_to_hub("user/piano")
    hub.repositories["user/piano"]["../../evil"] = b"content"

    def answer(handler: BaseHTTPRequestHandler, file: str) -> None:
        content = hub.repositories["user/piano"][file]
        if headers(handler, Content_Length=str(len(content)), **{name: "../../../../evil"}):
            handler.wfile.write(content)

    hub.answer = answer
    with pytest.raises(CheckpointError) if name == "ETag" else contextlib.nullcontext():
        GenerativeModule.from_pretrained("user/piano")
    (model,) = tmp_path.glob("1/2/3/4/5/hub/*/*/*")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(model)]


def test_another_host_gets_no_token(hub: HubServer) -> None:
    """A file that lies elsewhere, as the Hub's large ones do."""
    make_vae().push_to_hub("user/piano")
    tokens: dict[str, str | None] = {}
    with serving_hub() as other:
        other.repositories = hub.repositories

        def answer_there(handler: BaseHTTPRequestHandler, file: str) -> None:
            tokens["there"] = handler.headers["Authorization"]
            content = hub.repositories["user/piano"][file]
            if headers(handler, Content_Length=str(len(content))):
                handler.wfile.write(content)

        def answer(handler: BaseHTTPRequestHandler, file: str) -> None:
            tokens["here"] = handler.headers["Authorization"]
            place = f"http://localhost:{other.server_port}/user/piano/resolve/main/{file}"
            size = len(hub.repositories["user/piano"][file])
            headers(handler, 302, Location=place, Content_Length="0", X_Linked_Size=str(size))

        hub.answer, other.answer = answer, answer_there
        GenerativeModule.from_pretrained("user/piano")
    assert tokens == {"here": "Bearer hf_nobody", "there": None}


@pytest.mark.parametrize(
    ("config", "message"),
    [(b"[" * 100_000, "cannot be read"), (b'{"format": 99}', "has the format 99"), (b"{}", "has the format")],
)
def test_a_description_that_means_harm(config: bytes, message: str, hub: HubServer) -> None:
    make_vae().push_to_hub("user/piano")
    hub.repositories["user/piano"]["config.json"] = config
    with pytest.raises(CheckpointError, match=message):
        GenerativeModule.from_pretrained("user/piano")


def test_code_in_a_description_is_not_run(hub: HubServer) -> None:
    make_vae().push_to_hub("user/piano")
    content = json.loads(hub.repositories["user/piano"]["config.json"])
    content["module"]["class_path"] = "os.system"
    hub.repositories["user/piano"]["config.json"] = json.dumps(content).encode()
    with pytest.raises(CheckpointError, match=r"names os\.system"):
        GenerativeModule.from_pretrained("user/piano")


def test_without_a_network_the_copy_is_opened(hub: HubServer) -> None:
    make_vae().push_to_hub("user/piano")
    first = GenerativeModule.from_pretrained("user/piano")
    hub.shutdown()
    hub.server_close()
    again = GenerativeModule.from_pretrained("user/piano")
    assert torch.equal(*(next(iter(model.state_dict().values())) for model in (first, again)))
