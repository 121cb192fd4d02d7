"""Sound files through a model: what comes out is what the model makes of the whole file."""

import numpy as np
import pytest
import soundfile
import soxr
import torch
from toy_models import RATE, make_vae, make_wavegan

from lightning_modules.audio.files import AudioSource
from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.errors import AudioFileError, OptionError
from lightning_modules.inference.blockwise import Block
from lightning_modules.inference.reconstruction import FileReconstructor, StreamScores, read_clip
from lightning_modules.metrics.functional import log_mel_distance, si_sdr


def noise(channels: int, seconds: float, rate: int) -> np.ndarray:
    values = np.random.default_rng(0).normal(0, 0.1, (channels, round(seconds * rate)))
    return values.astype("float32")


def write(folder, waveform: np.ndarray, rate: int):
    soundfile.write(folder / "a.wav", waveform.T, rate, subtype="FLOAT")
    return folder / "a.wav"


def reconstruct(module, path, block_seconds=1.0, mono=False) -> torch.Tensor:
    with AudioSource(path) as source:
        blocks = list(FileReconstructor(module, block_seconds).blocks(source, mono))
    return torch.cat([block.reconstruction for block in blocks], dim=-1)


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_a_file_in_blocks_is_the_whole_file(tmp_path, rate):
    vae, waveform = make_vae().requires_grad_(False), noise(1, 10.0, rate)
    whole = waveform[0] if rate == RATE else soxr.resample(waveform[0], rate, RATE, "HQ")
    expected = vae.reconstruct(torch.from_numpy(whole)[None, None])
    found = reconstruct(vae, write(tmp_path, waveform, rate))
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 1e-4
    assert float(expected.std()) > 0.01, "silence proves nothing"


def test_channels(tmp_path):
    mono, stereo = make_vae(), make_vae(channels=2)
    waveform = noise(2, 1.0, RATE)
    path = write(tmp_path, waveform, RATE)
    left, right = (mono.reconstruct(torch.from_numpy(each)[None, None])[0] for each in waveform)
    torch.testing.assert_close(reconstruct(mono, path), torch.stack([left, right]), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        reconstruct(stereo, path), stereo.reconstruct(torch.from_numpy(waveform)[None]), atol=1e-5, rtol=0
    )
    mixed = torch.from_numpy(waveform.mean(0))[None, None]
    torch.testing.assert_close(reconstruct(mono, path, mono=True), mono.reconstruct(mixed), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        reconstruct(stereo, path, mono=True), stereo.reconstruct(mixed.repeat(1, 2, 1)), atol=1e-5, rtol=0
    )
    path = write(tmp_path, noise(3, 0.1, RATE), RATE)
    assert reconstruct(mono, path).shape == (3, 1, 800)
    with pytest.raises(AudioFileError, match=r"a.wav: 3 channels, but the model has 2(.|\n)*--mono"):
        reconstruct(stereo, path)


@pytest.mark.parametrize("samples", [1, 2, 100])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_short_and_silent_files(tmp_path, samples, level):
    vae = make_vae()
    found = reconstruct(vae, write(tmp_path, np.full((1, samples), level, "float32"), RATE))
    expected = vae.reconstruct(torch.full((1, 1, samples), level))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_scores_are_those_of_the_formulas():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 1, 16000, generator=generator) + 0.3
    estimate = 0.5 * target + 0.1 * torch.randn(2, 1, 16000, generator=generator)
    whole, cut = StreamScores(RATE), StreamScores(RATE)
    whole.update(Block(target, estimate))
    for start, end in ((0, 4000), (4000, 15000), (15000, 16000)):
        cut.update(Block(target[..., start:end], estimate[..., start:end]))
    mel = MelSpectrogram(RATE)
    assert whole.compute() == {
        "log_mel_distance": pytest.approx(float(log_mel_distance(estimate, target, mel).mean())),
        "si_sdr": pytest.approx(float(si_sdr(estimate, target).mean())),
    }
    assert cut.compute()["si_sdr"] == pytest.approx(whole.compute()["si_sdr"])
    assert cut.compute()["log_mel_distance"] == pytest.approx(whole.compute()["log_mel_distance"], rel=0.1)


def test_scores_of_silence_and_of_equality():
    silence, sound = (
        torch.zeros(1, 1, 4000),
        torch.rand(1, 1, 4000, generator=torch.Generator().manual_seed(0)),
    )
    for block, ratio in (
        (Block(silence, sound), -100),
        (Block(sound, silence), -100),
        (Block(sound, sound), 100),
    ):
        scores = StreamScores(RATE)
        scores.update(block)
        assert scores.compute()["si_sdr"] == ratio if ratio < 0 else scores.compute()["si_sdr"] > ratio
    assert scores.compute()["log_mel_distance"] == 0


def test_a_model_without_an_encoder():
    with pytest.raises(
        OptionError,
        match=r"WaveGAN of this checkpoint makes no audio from other(.|\n)*for `lightning generate`",
    ):
        FileReconstructor(make_wavegan())


def test_a_clip_for_a_model(tmp_path):
    waveform = noise(2, 2.0, RATE)
    path = write(tmp_path, waveform, RATE)
    np.testing.assert_allclose(read_clip(path, make_vae()), waveform.mean(0, keepdims=True), atol=1e-7)
    np.testing.assert_allclose(read_clip(path, make_vae(2), 0.5), waveform[:, :4000])
    path = write(tmp_path, waveform[:1], RATE)
    np.testing.assert_allclose(read_clip(path, make_vae(2)), np.repeat(waveform[:1], 2, axis=0))
