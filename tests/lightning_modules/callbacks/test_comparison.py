"""The table of `lightning test`: what is in it, against the metrics by themselves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from toy_experiment import ToyDataModule, ToyModule

from datamodules.batch import Notes
from lightning_modules.base import Reconstructs, Samples
from lightning_modules.callbacks.comparison import ClipValues, latent_scores
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.metrics.distances import frechet_distance, moments
from lightning_modules.metrics.embeddings import LogMelStatistics
from lightning_modules.metrics.reconstruction import LogMelDistance


class NotedData(ToyDataModule):
    """Clips of one tone each, struck in the middle; the notes of the first are unknown."""

    def notes(self, performance: int, start_sample: int, num_samples: int) -> Notes | None:
        if performance == 0:
            return None
        return Notes(*map(np.array, ([69], [0.5], [0.9], [80], [0.9])))

    def _loader(self, seed: int):
        loader = super()._loader(seed)
        time = torch.arange(self.clip_samples) / self.sample_rate
        since = (time - 0.5).clamp_min(0)
        pitch = 300.0 + 60.0 * torch.arange(self.num_clips).view(-1, 1, 1) + seed
        tone = torch.sin(2 * torch.pi * pitch * since) * torch.exp(-5 * since) * (time >= 0.5)
        loader.dataset.waveform = 1e-5 * loader.dataset.waveform + 0.5 * tone
        return loader


class Copier(ToyModule):
    """Its samples are training clips."""

    lacks = frozenset({Reconstructs})

    def sample(self, num_clips, num_samples=None, temperature=1.0):
        data = self.trainer.datamodule.train_dataloader().dataset.waveform
        return data[:num_clips, :, :num_samples]


def run_test(
    module: ToyModule, data: ToyDataModule, folder: Path, **options: object
) -> tuple[dict, dict[str, float]]:
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder),
        default_root_dir=folder,
        callbacks=[Evaluation(**options)],
        enable_progress_bar=False,
    )
    (logged,) = trainer.test(module, data, verbose=False)
    return json.loads((folder / "scores.json").read_text()), logged


def of(content: dict, subject: str) -> dict[str, dict]:
    return {score["name"]: score for score in content["scores"] if score["of"] == subject}


@pytest.fixture(scope="module")
def toy_table(tmp_path_factory) -> tuple[dict, dict[str, float], Path]:
    folder = tmp_path_factory.mktemp("table")
    torch.manual_seed(0)
    data = NotedData(clip_samples=8000, num_clips=8)
    return *run_test(ToyModule(8000, 4000), data, folder), folder


def test_what_the_scores_are_of(toy_table):
    content, _, _ = toy_table
    assert content["model"] == "toy_experiment.ToyModule"
    assert (content["checkpoint"], content["step"], content["split"]) == (None, 0, "test")
    assert (content["sample_rate"], content["num_clips"], content["clip_seconds"]) == (8000, 8, 1.0)
    assert content["data"] == {"release": "mini", "performances": 8}
    assert content["logged"].keys() == set()


def test_a_model_that_reconstructs_and_samples_gets_both_and_the_floor(toy_table):
    content, logged, folder = toy_table
    sets = {"frechet_log_mel_statistics", "mmd_log_mel_statistics"}
    paired = {"log_mel_distance", "multi_scale_spectral_distance", "si_sdr", "chroma_similarity"}
    paired |= {"log_mel_distance_0_to_2_khz", "log_mel_distance_2_to_5_khz"}  # of a band up to 4 kHz
    onsets = {"onset_f_score_audio", "onset_f_score_midi"}
    assert of(content, "reconstructions").keys() == sets | paired | onsets
    own = {"nearest_training_distance", "tonality"}
    assert of(content, "samples").keys() == sets | own | {"diversity"}
    assert of(content, "floor").keys() == sets | own | {"onset_f_score_midi"}
    for score in content["scores"]:
        assert logged[f"test/{score['of']}/{score['name']}"] == pytest.approx(score["value"], rel=1e-5)
        assert score["low"] is None or score["low"] <= score["value"] + 1e-9 <= score["high"] + 2e-9
    with (folder / "scores.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in content["scores"]]


def test_figures_are_those_of_the_metrics_alone(toy_table):
    content, logged, _ = toy_table
    real = torch.cat([b.waveform for b in NotedData(clip_samples=8000, num_clips=8).test_dataloader()])
    reconstructed = 0.1 * real
    metric = LogMelDistance(8000)
    metric.update(reconstructed, real)
    found = of(content, "reconstructions")
    assert found["log_mel_distance"]["value"] == pytest.approx(metric.compute().item(), rel=1e-5)
    assert logged["test/log_mel_distance"] == pytest.approx(metric.compute().item(), rel=1e-5)
    vectors = [LogMelStatistics()(x, 8000).flatten(0, 1) for x in (reconstructed, real)]
    expected = frechet_distance(*moments(vectors[0]), *moments(vectors[1])).item()
    assert found["frechet_log_mel_statistics"]["value"] == pytest.approx(expected, rel=1e-5)
    assert found["onset_f_score_midi"]["value"] == 1.0
    assert of(content, "floor")["onset_f_score_midi"]["value"] == 1.0
    assert found["si_sdr"]["value"] > 60  # a gain is no distortion


def test_samples_that_are_training_clips_show(tmp_path):
    content, _ = run_test(Copier(8000, 8000), NotedData(clip_samples=8000, num_clips=8), tmp_path)
    assert of(content, "samples")["nearest_training_distance"]["value"] == 0.0
    assert of(content, "floor")["nearest_training_distance"]["value"] > 0.1
    assert not of(content, "reconstructions")


def test_a_model_that_cannot_sample_is_not_asked_to(tmp_path):
    class Vocoder(ToyModule):
        lacks = frozenset({Samples})

        def sample(self, num_clips, num_samples=None, temperature=1.0):
            raise AssertionError("not asked for")

    content, _ = run_test(Vocoder(8000, 8000), ToyDataModule(clip_samples=8000, num_clips=4), tmp_path)
    assert "log_mel_distance" in of(content, "reconstructions")
    assert not of(content, "samples") and not of(content, "floor")


def test_long_splits_are_scored_in_part(tmp_path):
    data = ToyDataModule(clip_samples=1600, num_clips=32)
    content, _ = run_test(ToyModule(8000, 1600), data, tmp_path, max_test_clips=8)
    assert content["num_clips"] == 8  # every fourth batch of 4


def test_data_without_a_training_split_are_scored_without_it(tmp_path):
    class Untrained(ToyDataModule):
        def train_dataloader(self):
            raise ValueError("none here")

    with pytest.warns(UserWarning, match=r"nearest_training_distance is left out \(none here\)"):
        content, _ = run_test(ToyModule(8000, 1600), Untrained(), tmp_path)
    assert "nearest_training_distance" not in of(content, "samples")
    assert "diversity" in of(content, "samples")


def test_embeddings_come_from_the_configuration():
    parser = ArgumentParser()
    parser.add_subclass_arguments(Evaluation, "callback")
    embeddings = [
        {"class_path": f"lightning_modules.metrics.embeddings.{name}"}
        for name in ("LogMelStatistics", "CrepeEmbedding")
    ]
    options = {"class_path": "Evaluation", "init_args": {"embeddings": embeddings}}
    made = parser.instantiate_classes(parser.parse_object({"callback": options})).callback
    assert [each.name for each in made.embeddings] == ["log_mel_statistics", "crepe"]


def test_values_of_no_clips_are_no_warning(recwarn):
    assert ClipValues().gathered().shape == (0,)
    values = ClipValues()
    values.update(torch.tensor([1.0, 2.0]))
    assert values.gathered().tolist() == values.gathered().tolist() == [1.0, 2.0]
    assert not list(recwarn)


def test_one_clip_has_one_value():
    values = ClipValues()
    values.update(torch.tensor([0.5]))
    assert values.gathered().tolist() == [0.5]


class Codec(ToyModule):
    """Four values for each frame of 80 samples of both channels."""

    latent_hop_samples = 80
    latent_is_gaussian = True

    def encode_latent(self, waveform):
        return waveform.reshape(len(waveform), -1, 80 * waveform.shape[1])[:, :, :4].transpose(1, 2)

    def decode_latent(self, latent, num_samples=None):
        raise AssertionError("not asked for")

    draw_latent = decode_latent


def test_what_latents_cost_stands_beside_the_scores():
    samples, rate = latent_scores(Codec(8000, 1600, channels=2), bits_per_second=6840.0)
    assert (samples.name, samples.value) == ("samples_per_latent_value", 40.0)  # 2 x 80 / 4
    assert (rate.name, rate.value, rate.unit) == ("posterior_rate", 6.84, "kbit/s")
    assert {samples.better, rate.better} == {"none"}


def test_latents_that_no_prior_holds_have_no_bit_rate():
    codec = Codec(8000, 1600)
    codec.lacks = frozenset({Samples})
    assert [score.name for score in latent_scores(codec, 6840.0)] == ["samples_per_latent_value"]
    assert latent_scores(ToyModule(8000, 1600), None) == []
