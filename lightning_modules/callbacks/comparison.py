"""Comparison of the clips that a model made with real ones: all scores of `lightning test`."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from datamodules.batch import Batch, NoteSource
from lightning_modules.base import can_reconstruct, can_sample, has_latents
from lightning_modules.metrics.directions import score_direction
from lightning_modules.metrics.distances import (
    frechet_distance,
    kernel_distance,
    moments,
    nearest_distances,
)
from lightning_modules.metrics.embeddings import Embedding
from lightning_modules.metrics.frechet import Diversity, EmbeddedClips
from lightning_modules.metrics.functional import tonality
from lightning_modules.metrics.intervals import (
    Interval,
    bootstrap_distance,
    bootstrap_mean,
    split_half_floor,
)
from lightning_modules.metrics.onsets import chord_onsets, detect_onsets, onset_f_score
from lightning_modules.metrics.rates import samples_per_latent_value
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
    StereoCorrelationDistance,
    StereoLevelDistance,
    band_distances,
)
from lightning_modules.reports.scores import Better, Score
from lightning_modules.reports.scores import Subject as ScoreSubject

Subject = Literal["reconstructions", "samples"]


class ClipValues(Metric):
    """Keeps one value per clip of an epoch, from all devices, for means with intervals.

    Args:
        unit: Of the values.
    """

    full_state_update = False
    values: list[Tensor]

    def __init__(self, unit: str = "") -> None:
        super().__init__()
        self.unit = unit
        self.add_state("values", [], dist_reduce_fx="cat")

    def update(self, values: Tensor) -> None:
        """Add values (B,)."""
        # float32, which torchmetrics takes a device without clips to have; means are taken in float64
        self.values.append(values.float())

    def gathered(self) -> Tensor:
        """What `compute` gives, also on a device that had no clips: torchmetrics warns of those."""
        self.update(torch.zeros(0, device=self.device))
        return self.compute().reshape(-1)  # torchmetrics makes a scalar of a single clip

    def compute(self) -> Tensor:
        """(N,) float32; empty if nothing was added."""
        if isinstance(self.values, list):
            return torch.cat(self.values) if self.values else torch.zeros(0)
        return self.values


class PairedComparison:
    """Reconstructions, clip by clip against their originals.

    Args:
        sample_rate: Rate of the audio in Hz.
        notes: Who knows the played notes, or None.
        device: Where the clips are.
        channels: Audio channels C.
        added: More formulas, by name; one with the name of a standard one takes its place.
    """

    def __init__(
        self,
        sample_rate: int,
        notes: NoteSource | None,
        device: torch.device,
        channels: int = 1,
        added: dict[str, ClipMean] | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.notes = notes
        self.formulas: dict[str, ClipMean] = {
            "log_mel_distance": LogMelDistance(sample_rate),
            **band_distances(sample_rate),
            "multi_scale_spectral_distance": MultiScaleSpectralDistance(),
            "si_sdr": ScaleInvariantSDR(),
            "chroma_similarity": ChromaSimilarity(sample_rate),
        }
        if channels == 2:
            self.formulas["stereo_level_distance"] = StereoLevelDistance(sample_rate)
            self.formulas["stereo_level_distance_by_power"] = StereoLevelDistance(sample_rate, by_power=True)
            self.formulas["stereo_correlation_distance"] = StereoCorrelationDistance()
        self.formulas |= added or {}
        for formula in self.formulas.values():
            formula.to(device)
        in_db = ("log_mel_distance", "si_sdr", "stereo_level")
        units = {name: "dB" if name.startswith(in_db) else "" for name in self.formulas}
        self.values = {name: ClipValues(unit).to(device) for name, unit in units.items()}
        self.onset_values = ClipValues().to(device)
        judged: tuple[ScoreSubject, ...] = ("reconstructions", "floor")
        self.midi_values = {of: ClipValues().to(device) for of in judged}

    def update(self, output: Tensor, batch: Batch) -> None:
        """Add reconstructions (B, C, T) of a batch."""
        for name, formula in self.formulas.items():
            self.values[name].update(formula.values(output, batch.waveform))
        # the slowest part on a CPU: once for each clip
        heard, original = self._onsets(output), self._onsets(batch.waveform)
        scores = [onset_f_score(*pair) for pair in zip(original, heard, strict=True)]
        self.onset_values.update(torch.tensor(scores, device=output.device))
        played = self._played(batch)
        for of, found in zip(self.midi_values, (heard, original), strict=True):
            pairs = [(known, own) for known, own in zip(played, found, strict=True) if known is not None]
            if pairs:
                scores = [onset_f_score(known, own) for known, own in pairs]
                self.midi_values[of].update(torch.tensor(scores, device=output.device))

    def _onsets(self, waveform: Tensor) -> list[NDArray[np.float64]]:
        """Onsets heard in each clip of (B, C, T), in seconds."""
        return [detect_onsets(clip, self.sample_rate) for clip in waveform.float().mean(1).cpu().numpy()]

    def _played(self, batch: Batch) -> list[NDArray[np.float64] | None]:
        """Onsets played in each clip, in seconds; None where no MIDI tells."""
        if self.notes is None:
            return [None] * len(batch.waveform)
        clip_samples = batch.waveform.shape[-1]
        places = zip(batch.performance.tolist(), batch.start_sample.tolist(), strict=True)
        known = [self.notes.notes(performance, start, clip_samples) for performance, start in places]
        duration = clip_samples / self.sample_rate
        return [None if notes is None else chord_onsets(notes.onset, duration) for notes in known]

    def scores(self) -> list[Score]:
        """Means over clips, with bootstrap intervals."""
        found = []
        for name, kept in self.values.items():
            found.append(interval_score(name, "reconstructions", bootstrap_mean(kept.gathered()), kept.unit))
        onsets = bootstrap_mean(self.onset_values.gathered())
        found.append(interval_score("onset_f_score_audio", "reconstructions", onsets))
        for of, kept in self.midi_values.items() if self.notes is not None else ():
            values = kept.gathered()
            if len(values):
                found.append(interval_score("onset_f_score_midi", of, bootstrap_mean(values)))
        return found


class SetComparison:
    """A set of clips against a set of real ones, by the vectors of embeddings.

    Args:
        of: What the first set is.
        sample_rate: Rate of the audio in Hz.
        embeddings: Which vectors.
        device: Where the clips are.
    """

    def __init__(
        self, of: Subject, sample_rate: int, embeddings: Sequence[Embedding], device: torch.device
    ) -> None:
        self.of: Subject = of
        self.embeddings = embeddings
        self.made = [EmbeddedClips(each, sample_rate).to(device) for each in embeddings]
        self.real = [EmbeddedClips(each, sample_rate).to(device) for each in embeddings]
        self.known = EmbeddedClips(embeddings[0], sample_rate).to(device)
        self.diversity = Diversity(sample_rate).to(device)
        self.sample_rate = sample_rate
        of_samples: tuple[ScoreSubject, ...] = ("samples", "floor") if of == "samples" else ()
        self.tonality = {each: ClipValues("nats").to(device) for each in of_samples}

    def update(self, output: Tensor, real: Tensor) -> None:
        """Add as many real clips as there are of the model: (B, C, T) each."""
        for made, original in zip(self.made, self.real, strict=True):
            made.update(output)
            original.update(real)
        if self.of == "samples":
            self.diversity.update(output, real)
            for values, clips in zip(self.tonality.values(), (output, real), strict=True):
                values.update(tonality(clips, self.sample_rate))

    def update_known(self, waveform: Tensor) -> None:
        """Add training clips (B, C, T), of which samples may be copies."""
        self.known.update(waveform)

    def scores(self) -> list[Score]:
        """Distances of the sets, and what real clips give in the place of the model's."""
        found = []
        for embedding, made, real in zip(self.embeddings, self.made, self.real, strict=True):
            found += self._distances(embedding, made.compute(), real.compute())
        if self.of == "samples":
            found.append(interval_score("diversity", self.of, self.diversity.compute().item()))
            for of, values in self.tonality.items():
                found.append(interval_score("tonality", of, bootstrap_mean(values.gathered()), values.unit))
            if self.known.update_count:
                found += self._memory()
        return found

    def _distances(self, embedding: Embedding, made: Tensor, real: Tensor) -> list[Score]:
        frechet, kernel = f"frechet_{embedding.name}", f"mmd_{embedding.name}"
        unit = embedding.unit and f"{embedding.unit}²"
        paired = self.of == "reconstructions"
        found = [
            interval_score(frechet, self.of, bootstrap_distance(frechet_of, made, real, paired), unit),
            interval_score(kernel, self.of, kernel_of(made, real).item()),
        ]
        if self.of == "samples" and len(real) > 3:
            floor = split_half_floor(frechet_of, real)
            found.append(interval_score(frechet, "floor", floor, unit))
            found.append(interval_score(kernel, "floor", split_half_floor(kernel_of, real)))
        return found

    def _memory(self) -> list[Score]:
        """Distance to the nearest training clip, of the model's clips and of real unseen ones."""
        known = self.known.compute().mean(1)  # (N, F)
        unit = self.embeddings[0].unit
        sets: tuple[tuple[ScoreSubject, Tensor], ...] = (
            (self.of, self.made[0].compute()),
            ("floor", self.real[0].compute()),
        )
        return [
            interval_score(
                "nearest_training_distance",
                of,
                bootstrap_mean(nearest_distances(clips.mean(1), known)),
                unit,
            )
            for of, clips in sets
        ]


def latent_scores(model: object, bits_per_second: float | None) -> list[Score]:
    """What the latents cost that reconstructions are made from; nothing of a model without such latents.

    Args:
        model: Which encodes to latents, or does not.
        bits_per_second: Rate of the posterior on the clips that were scored; None if the model has none.
    """
    if not (can_reconstruct(model) and has_latents(model)):
        return []
    clip = torch.zeros(1, model.channels, model.clip_samples, device=model.device)
    with torch.no_grad():
        latent_size = model.encode_latent(clip).shape[1]
    values_per_second = latent_size * model.sample_rate / model.latent_hop_samples
    samples = samples_per_latent_value(model.sample_rate, model.channels, values_per_second)
    found = [Score("samples_per_latent_value", "reconstructions", samples)]
    if bits_per_second is not None and can_sample(model):  # nothing holds a plain autoencoder's to a prior
        found.append(Score("posterior_rate", "reconstructions", bits_per_second / 1000.0, unit="kbit/s"))
    return found


def frechet_of(clips: Tensor, others: Tensor) -> Tensor:
    """Fréchet distance of all vectors of two sets of clips, (N, E, F) and (N', E', F)."""
    return frechet_distance(*moments(clips.flatten(0, 1)), *moments(others.flatten(0, 1)))


def kernel_of(clips: Tensor, others: Tensor) -> Tensor:
    """Kernel distance of the same."""
    return kernel_distance(clips.flatten(0, 1), others.flatten(0, 1))


def interval_score(name: str, of: ScoreSubject, measured: Interval | float, unit: str = "") -> Score:
    """A row of the table, of a score whose name tells which direction is better."""
    value, low, high = measured if isinstance(measured, Interval) else (measured, None, None)
    better: dict[str | None, Better] = {"min": "lower", "max": "higher", None: "none"}
    return Score(name, of, value, low, high, unit, better[score_direction(name)])
