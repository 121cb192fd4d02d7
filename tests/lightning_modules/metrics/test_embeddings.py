"""Embeddings: levels by hand, CREPE as its own package runs it, CLAP with a small random model."""

import builtins
import math

import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.metrics.embeddings import (
    ClapEmbedding,
    CrepeEmbedding,
    LogMelStatistics,
    TranskunEmbedding,
)


def tone(frequency: float, seconds: float = 1.0, rate: int = 16_000) -> torch.Tensor:
    time = torch.arange(round(seconds * rate)) / rate
    return 0.3 * torch.sin(2 * math.pi * frequency * time).view(1, 1, -1)


def noise(clips: int = 2, samples: int = 16_000, channels: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(clips, channels, samples, generator=torch.Generator().manual_seed(0))


def test_statistics_of_a_gain_move_by_its_decibels():
    embedding = LogMelStatistics()
    loud, quiet = embedding(noise(), 16_000), embedding(0.1 * noise(), 16_000)
    assert loud.shape == (2, 3, 80)  # 63 frames are three segments of 16
    torch.testing.assert_close(
        loud[..., :40] - quiet[..., :40], torch.full((2, 3, 40), 20.0), atol=0.01, rtol=0
    )
    torch.testing.assert_close(loud[..., 40:], quiet[..., 40:], atol=0.01, rtol=0)


def test_statistics_of_silence_and_of_a_single_sample():
    silent = LogMelStatistics()(torch.zeros(1, 2, 1), 16_000)
    torch.testing.assert_close(silent, torch.tensor([-80.0] * 40 + [0.0] * 40).view(1, 1, 80))


def test_other_rates_are_resampled_and_channels_averaged():
    embedding = LogMelStatistics()
    expected = embedding(tone(440.0, 2.0), 16_000)
    found = embedding(tone(440.0, 2.0, 48_000).expand(-1, 2, -1), 48_000)
    inner = slice(1, -1)
    torch.testing.assert_close(found[:, inner, :40], expected[:, inner, :40], atol=0.5, rtol=0)


def test_crepe_is_torchcrepe_s_own_embedding():
    torchcrepe = pytest.importorskip("torchcrepe")
    clip = tone(261.6) + noise(1)
    embedding = CrepeEmbedding(hop_seconds=0.064)
    expected = torchcrepe.embed(clip[0], 16_000, hop_length=1024, model="tiny", pad=False)  # (1, E, 32, 8)
    found = embedding(clip, 16_000)
    assert found.shape[2] == embedding.size == 256
    torch.testing.assert_close(
        found.flatten(2).sort(-1)[0],
        expected[:, : found.shape[1]].flatten(2).sort(-1)[0],
        atol=1e-4,
        rtol=1e-4,
    )


def test_crepe_hears_pitch_and_not_level():
    pytest.importorskip("torchcrepe")
    embedding = CrepeEmbedding()
    base = embedding(tone(261.6), 16_000).mean(1)
    quieter, semitone = (embedding(x, 16_000).mean(1) for x in (0.1 * tone(261.6), tone(277.2)))
    assert (quieter - base).norm() < 0.1 * (semitone - base).norm()
    assert embedding(torch.zeros(1, 1, 10), 16_000).isfinite().all()


@pytest.fixture(scope="module")
def small_clap(tmp_path_factory):
    """A random CLAP of a few thousand weights, saved as the hub's models are."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    audio = {
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 1],
        "hidden_size": 16,
        "spec_size": 64,
        "num_mel_bins": 32,
        "window_size": 4,
    }
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    text |= {"vocab_size": 20, "max_position_embeddings": 20}
    config = transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=24)
    folder = tmp_path_factory.mktemp("clap")
    transformers.ClapModel(config).save_pretrained(folder)
    # 101 frames in ten seconds: the size of picture that this small network takes
    extractor = transformers.ClapFeatureExtractor(feature_size=32, hop_length=4800, truncation="rand_trunc")
    extractor.save_pretrained(folder)
    return folder


def test_clap_gives_one_vector_for_ten_seconds(small_clap):
    embedding = ClapEmbedding(str(small_clap))
    clips = 0.1 * torch.randn(2, 1, 21 * 8000, generator=torch.Generator().manual_seed(1))
    found = embedding(clips, 8000)
    assert found.shape == (2, 2, 24)
    torch.testing.assert_close(found, embedding(clips, 8000))  # nothing is cut at random
    assert (found[0, 0] - found[1, 0]).abs().max() > 1e-4
    assert not any(parameter.requires_grad for parameter in embedding.parameters())
    assert embedding(clips[..., :4000], 8000).shape == (2, 1, 24)


def test_clap_that_is_nowhere_says_what_to_do(monkeypatch, tmp_path):
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OptionError, match=r"(?s)'.*absent' is not on this machine.*LogMelStatistics"):
        ClapEmbedding(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("make", "package", "extra"),
    [(CrepeEmbedding, "torchcrepe", "crepe"), (ClapEmbedding, "transformers", "clap")],
)
def test_a_missing_package_names_its_extra(make, package, extra, monkeypatch):
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        OptionError, match=rf'(?s)needs the package {package}.*pip install -e "\.\[{extra}\]"'
    ):
        make()


@pytest.mark.slow  # a quarter of a minute of a CPU for each clip
def test_transkun_hears_notes_and_not_level(transkun):
    embedding = TranskunEmbedding()
    base = embedding(tone(261.6), 16_000)
    assert base.shape == (1, 4, embedding.size) == (1, 4, 256)
    quieter, semitone = (embedding(x, 16_000) for x in (0.1 * tone(261.6), tone(277.2)))
    assert (quieter - base).norm() < 0.1 * (semitone - base).norm()


def test_transkun_is_named_where_it_is_missing():
    with pytest.raises(OptionError, match="transkun"):
        TranskunEmbedding()
