"""To the Hub and back by its own client, against a server of this machine."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_server import HubServer, serving_hub
from toy_models import make_vae

from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints import repository
from lightning_modules.errors import CheckpointError, InstallationError

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with serving_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
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
