import pytest
import torch

from lightning_modules.metrics import functional
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
    StereoCorrelationDistance,
    StereoLevelDistance,
    band_distances,
)


@pytest.mark.parametrize("metric", [LogMelDistance(16000), MultiScaleSpectralDistance(), ScaleInvariantSDR()])
def test_the_mean_over_clips_does_not_depend_on_how_they_are_batched(metric):
    torch.manual_seed(0)
    target = 0.1 * torch.randn(5, 1, 8000)
    estimate = target + torch.linspace(0.01, 0.5, 5).view(5, 1, 1) * torch.randn(5, 1, 8000)
    metric.reset()
    metric.update(estimate, target)
    whole = metric.compute()
    metric.reset()
    for part in (slice(0, 1), slice(1, 5)):
        metric.update(estimate[part], target[part])
    torch.testing.assert_close(metric.compute(), whole)
    torch.testing.assert_close(whole, metric.values(estimate, target).mean(), rtol=1e-5, atol=1e-6)
    assert metric.total.dtype == torch.float64


def test_si_sdr_metric_uses_the_formula():
    metric = ScaleInvariantSDR()
    torch.manual_seed(0)
    estimate, target = torch.randn(2, 3, 1, 100)
    metric.update(estimate, target)
    torch.testing.assert_close(metric.compute(), functional.si_sdr(estimate, target).mean())


def test_active_units_by_hand():
    # variances over the four frames: 0 (constant), 0.005, 1.25; the threshold is 0.01
    means = torch.tensor([[[3.0] * 4, [0.0, 0.0, 0.1414, 0.1414], [0.0, 1.0, 2.0, 3.0]]])
    metric = ActiveUnits(3)
    metric.update(means[..., :2])
    metric.update(means[..., 2:])
    assert metric.compute().item() == 1.0


def chord(*frequencies: float, gain: float = 1.0, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(16_000 * seconds)) / 16_000
    return gain * sum(0.1 * torch.sin(2 * torch.pi * f * time) for f in frequencies).view(1, 1, -1)


def test_chroma_similarity_hears_pitch_classes_and_not_level_or_octave():
    metric = ChromaSimilarity(16_000)
    target = chord(261.63, 329.63)  # C, E
    for estimate, low, high in (
        (target, 0.9999, 1.0001),
        (chord(261.63, 329.63, gain=0.1), 0.999, 1.001),
        (chord(523.25, 659.26), 0.9, 1.0),  # an octave higher
        (chord(277.18, 349.23), 0.0, 0.5),  # a semitone higher
        (0 * target, 0.0, 0.75),
    ):
        assert low <= metric.values(estimate, target).item() <= high
    assert metric.values(target, 0 * target).item() == 1.0  # nothing to be similar to


def test_chroma_similarity_counts_only_frames_that_sound():
    target = torch.cat([chord(261.63), torch.zeros(1, 1, 160_000)], -1)
    estimate = torch.cat([chord(261.63), chord(311.0, seconds=10.0)], -1)
    assert ChromaSimilarity(16_000).values(estimate, target).item() > 0.8


def test_distances_of_bands_see_their_band_alone():
    time = torch.arange(44_100) / 44_100
    tones = {hz: 0.1 * torch.sin(2 * torch.pi * hz * time).view(1, 1, -1) for hz in (500, 3000, 7000, 15_000)}
    noise = 1e-3 * torch.randn(1, 1, 44_100, generator=torch.Generator().manual_seed(0))
    target = noise + sum(tones.values())
    for position, tone in enumerate(tones.values()):
        found = [metric(target + tone, target).item() for metric in band_distances(44_100).values()]
        assert found.pop(position) > 3.5 * max(found)  # the tones' ends are heard in all bands, a little
    parts = band_distances(44_100)
    sizes = [metric.bands.stop - metric.bands.start for metric in parts.values()]
    assert list(parts) == [
        f"log_mel_distance_{each}_khz" for each in ("0_to_2", "2_to_5", "5_to_10", "10_to_20")
    ]
    assert sizes == [33, 18, 14, 14]  # the last of 80 mel bands is above 20 kHz
    assert list(band_distances(16_000)) == list(parts)[:3]


def test_the_stereo_image_by_hand():
    generator = torch.Generator().manual_seed(0)
    left, right = 0.1 * torch.randn(2, 1, 1, 32_000, generator=generator)
    apart, panned = torch.cat([left, right], 1), torch.cat([left, 0.5 * left], 1)
    level, correlation = StereoLevelDistance(16_000), StereoCorrelationDistance()
    assert level(apart, apart).item() == correlation(panned, panned).item() == 0.0
    middle = torch.cat([left, left], 1)
    assert level(middle, panned).item() == pytest.approx(6.02, abs=0.01)  # 20 log10(2)
    assert correlation(middle, panned).item() == pytest.approx(0.0, abs=1e-5)
    assert level(0.1 * panned, panned).item() == pytest.approx(0.0, abs=0.01)  # loudness is no image
    assert correlation(middle, apart).item() == pytest.approx(1.0, abs=0.03)  # 1 where there was none
    assert correlation(torch.cat([left, -left], 1), middle).item() == pytest.approx(2.0, abs=1e-5)


def test_the_image_counts_where_the_sound_is():
    """A loud second keeps its image, one 20 dB below it moves by 6 dB: half of that, or a hundredth."""
    generator = torch.Generator().manual_seed(0)
    loud = 0.1 * torch.randn(1, 2, 160_000, generator=generator)
    target = torch.cat([loud, 0.1 * loud], 2)
    moved = torch.cat([loud, 0.1 * loud * torch.tensor([2.0, 1.0])[:, None]], 2)
    assert StereoLevelDistance(16_000)(moved, target).item() == pytest.approx(3.01, abs=0.03)
    by_power = StereoLevelDistance(16_000, by_power=True)
    assert by_power(moved, target).item() == pytest.approx(6.02 / 101, abs=0.01)


def test_faint_sound_has_no_image_that_counts():
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(1, 2, 16_000, generator=generator)
    faint = 1e-5 * torch.randn(1, 2, 16_000, generator=generator)
    target = torch.cat([sound, faint], 2)
    wrong = torch.cat([sound, faint * torch.tensor([4.0, 1.0])[:, None]], 2)
    for metric in (
        StereoLevelDistance(16_000),
        StereoLevelDistance(16_000, True),
        StereoCorrelationDistance(),
    ):
        assert metric(wrong, target).item() < 0.05
