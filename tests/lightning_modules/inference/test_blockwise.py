"""Blocks of any size give what the whole gives, and the measured context is as long as it must be."""

import pytest
import torch
from toy_models import (
    CLIP,
    HOP,
    make_clip_vae,
    make_hifigan,
    make_melgan,
    make_vae,
    make_vocoder,
    make_wavelet_vae,
)

from lightning_modules.base import GenerativeModule
from lightning_modules.inference.blockwise import context_samples, reconstruct_stream


class Delay(GenerativeModule):
    """y[t] = x[t - delay]: it looks `delay` samples back, and nowhere else."""

    def __init__(self, delay: int, hop: int = 1) -> None:
        super().__init__(1000, 100)
        self.delay = delay
        self.latent_hop_samples = hop

    def sample(self, num_clips, num_samples=None, temperature=1.0):
        return torch.zeros(num_clips, 1, num_samples)

    def reconstruct(self, waveform):
        return torch.nn.functional.pad(waveform, (self.delay, 0))[..., : waveform.shape[-1]]


class Centred(Delay):
    """Every sample depends on all."""

    def reconstruct(self, waveform):
        return waveform - waveform.mean(-1, keepdim=True)


@pytest.mark.parametrize(
    ("delay", "hop", "expected"), [(0, 1, 0), (1, 1, 1), (37, 1, 37), (37, 8, 40), (700, 8, 704)]
)
def test_the_context_is_how_far_the_model_looks(delay, hop, expected):
    assert context_samples(Delay(delay, hop)) == expected


def test_a_model_that_looks_at_everything_has_no_context_and_is_not_cut():
    assert context_samples(Centred(0)) is None
    audio = torch.rand(1, 1, 5000)
    (block,) = reconstruct_stream(Centred(0), audio.split(300, dim=-1), 100, None)
    torch.testing.assert_close(block.reconstruction, Centred(0).reconstruct(audio))


def test_too_little_context_shows():
    audio = torch.rand(1, 1, 1000)
    blocks = reconstruct_stream(Delay(37), audio.split(100, dim=-1), 200, 30)
    assert (torch.cat([block.reconstruction for block in blocks], -1) != Delay(37).reconstruct(audio)).any()


def test_networks_look_as_far_as_their_layers_say():
    # frames: encoder 1 (kernels of three strides) and 3 (block of 7 taps), decoder 3 (input layer), 3 (block)
    # and 2 (inverse STFT), less than 2 in all for positions within frames
    assert 9 * HOP <= context_samples(make_vae()) <= 14 * HOP
    assert context_samples(make_clip_vae()) % CLIP == 0


MAKERS = [make_vae, make_wavelet_vae, make_clip_vae, make_vocoder, make_melgan, make_hifigan]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("samples", [1, 3000, 3001, 12345])
def test_blocks_joined_are_the_whole(make, samples):
    module = make().requires_grad_(False)
    audio = 0.3 * torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(samples))
    whole = module.reconstruct(audio)
    blocks = list(reconstruct_stream(module, audio.split(777, dim=-1), 1000, context_samples(module)))
    assert samples < 5000 or len(blocks) > 4
    torch.testing.assert_close(torch.cat([block.original for block in blocks], -1), audio)
    joined = torch.cat([block.reconstruction for block in blocks], -1)
    assert float((joined - whole).abs().max()) < 1e-5
