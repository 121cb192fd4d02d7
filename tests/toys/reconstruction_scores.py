"""Reconstructions of several models scored on the same clips over training: rows, a table, a picture."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch

from lightning_modules.metrics.rates import kilobits_per_second, samples_per_latent_value
from lightning_modules.metrics.reconstruction import (
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
    StereoCorrelationDistance,
    StereoLevelDistance,
)

COLUMNS = {
    "kilobits_per_second": "kbit/s",
    "multi_scale_spectral_distance": "spectral distance",
    "log_mel_distance": "log-mel distance, dB",
    "si_sdr": "SI-SDR, dB",
    "stereo_level_distance": "stereo level distance, dB",
    "stereo_correlation_distance": "stereo correlation distance",
}


class Clips(NamedTuple):
    """What is scored."""

    splits: dict[str, torch.Tensor]
    """(B, C, T) each."""
    sample_rate: int

    @property
    def whole(self) -> torch.Tensor:
        """(B, C, T), the splits one after the other."""
        return torch.cat([*self.splits.values()])

    @property
    def channels(self) -> int:
        return next(iter(self.splits.values())).shape[1]

    @property
    def seconds(self) -> float:
        """Of one clip."""
        return next(iter(self.splits.values())).shape[-1] / self.sample_rate

    def metrics(self) -> dict[str, ClipMean]:
        """New ones, by the names of a row."""
        found = {
            "multi_scale_spectral_distance": MultiScaleSpectralDistance(),
            "log_mel_distance": LogMelDistance(self.sample_rate),
            "si_sdr": ScaleInvariantSDR(),
        }
        if self.channels == 2:
            found["stereo_level_distance"] = StereoLevelDistance(self.sample_rate)
            found["stereo_correlation_distance"] = StereoCorrelationDistance()
        return found


class Row(NamedTuple):
    """Scores of one model at one time on one split."""

    model: str
    seconds: float
    step: int
    split: str
    latent: str
    """What was decoded: the posterior's mean, or a draw from it."""
    kilobits_per_second: float | None
    """KL(q(z|x) ‖ p(z)), which a draw costs; a mean is a real number, which has no rate."""
    multi_scale_spectral_distance: float
    log_mel_distance: float
    si_sdr: float
    stereo_level_distance: float | None = None
    stereo_correlation_distance: float | None = None


class Evaluated(NamedTuple):
    """What one model did."""

    rows: list[Row]
    outputs: dict[str, torch.Tensor]
    """Reconstructions (B, C, T) at the end, from "mean" and "draw", the splits one after the other."""
    parameters: int
    values_per_second: float
    """Latent values."""
    seconds: Callable[[], float]
    """Encodes and decodes the first clip, and says how long that took."""


def scores(
    model: str, seconds: float, step: int, outputs: dict[str, torch.Tensor], kl: torch.Tensor, clips: Clips
) -> list[Row]:
    """Rows of each split, from means and from draws.

    Args:
        model: Name.
        seconds: Of training.
        step: Of training.
        outputs: As of `Evaluated`.
        kl: (B,) nats of each clip.
        clips: The originals.
    """
    rows = []
    sizes = [len(one) for one in clips.splits.values()]
    for latent, output in outputs.items():
        for split, part, nats in zip(clips.splits, output.split(sizes), kl.split(sizes), strict=True):
            metrics = clips.metrics()
            for pair in zip(part.split(1), clips.splits[split].split(1), strict=True):
                for metric in metrics.values():
                    metric.update(*pair)
            values = {name: metric.compute().item() for name, metric in metrics.items()}
            rate = kilobits_per_second(nats.mean().item() / clips.seconds) if latent == "draw" else None
            rows.append(Row(model, round(seconds, 1), step, split, latent, rate, **values))
    return rows


def write(results: dict[str, Evaluated], factors: dict[str, float], clips: Clips, folder: Path) -> None:
    """scores.json, scores.csv, curves.png, and all clips of each model, and of the originals, in a WAV."""
    rows = [row._asdict() for result in results.values() for row in result.rows]
    models = {
        name: {
            "parameters": result.parameters,
            "latent_values_per_second": result.values_per_second,
            "real_time_factor": factors[name],
        }
        for name, result in results.items()
    }
    (folder / "scores.json").write_text(json.dumps({"models": models, "scores": rows}, indent=2))
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, Row._fields)
        writer.writeheader()
        writer.writerows(rows)
    draw(results, clips.splits, folder / "curves.png")
    outputs = {f"{name} {key}": one for name, each in results.items() for key, one in each.outputs.items()}
    for name, output in {"original": clips.whole, **outputs}.items():
        soundfile.write(folder / f"{name}.wav", output.movedim(1, 0).flatten(1).T.numpy(), clips.sample_rate)


def draw(results: dict[str, Evaluated], splits: Iterable[str], path: Path) -> None:
    """Each score of draws over training time, all splits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.5), layout="constrained")
    fields = ("multi_scale_spectral_distance", "log_mel_distance", "si_sdr")
    for axes, field in zip(figure.subplots(1, 3), fields, strict=True):
        for colour, (name, result) in enumerate(results.items()):
            for split, style in zip(splits, ("--", "-"), strict=True):
                rows = [row for row in result.rows if (row.split, row.latent) == (split, "draw")]
                values = [row.seconds for row in rows], [getattr(row, field) for row in rows]
                axes.plot(*values, style, marker=".", color=f"C{colour}", label=f"{name}, {split}")
        axes.set_xlabel("training (s)")
        axes.set_title(COLUMNS[field], fontsize=10)
    axes.legend(fontsize=7, loc="center right")
    figure.savefig(path, dpi=90)


def table(results: dict[str, Evaluated], factors: dict[str, float], clips: Clips) -> list[str]:
    """Lines for each model, with its last scores on the splits."""
    fields = ["kilobits_per_second", *clips.metrics()]
    titles = ["samples per latent value", "million", "steps", *(COLUMNS[field] for field in fields)]
    lines = [
        f"| {' / '.join(clips.splits)} split | {' | '.join(titles)} | times real time |",
        "|---" * (len(titles) + 2) + "|",
    ]
    for name, result in results.items():
        share = samples_per_latent_value(clips.sample_rate, clips.channels, result.values_per_second)
        step = result.rows[-1].step
        for latent in result.outputs:
            rows = [row for row in result.rows if (row.step, row.latent) == (step, latent)]
            cells = [f"{name}, {latent}", f"{share:.3g}", f"{result.parameters / 1e6:.3g}", f"{step:,}"]
            values = [[getattr(row, field) for row in rows] for field in fields]
            cells += [" / ".join(f"{one:.2f}" for one in each if one is not None) for each in values]
            lines.append(f"| {' | '.join(cells)} | {factors[name]:.0f} |")
    return lines
