"""Evaluation of models that sample and do not reconstruct."""

import pytest
import torch
from lightning.pytorch import Trainer
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.base import Reconstructs
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.metrics.reconstruction import ClipMean


class Sampler(ToyModule):
    lacks = frozenset({Reconstructs})

    def reconstruct(self, waveform):
        raise AssertionError("not asked for")


def evaluate(clip_samples: int = 1600, **options) -> tuple[dict[str, float], Evaluation, ToyModule]:
    module = Sampler(8000, clip_samples)
    evaluation = Evaluation(**options)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[evaluation],
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    (logged,) = trainer.validate(module, ToyDataModule(num_clips=8), verbose=False)
    return logged, evaluation, module


def test_as_many_samples_as_the_split_has_are_compared():
    logged, _, module = evaluate()
    frechet, diversity = FrechetLogMel(8000), Diversity(8000)
    for index, batch in enumerate(ToyDataModule(num_clips=8).val_dataloader()):
        torch.manual_seed(index)
        samples = module.sample(4, 1600)
        frechet.update(samples, batch.waveform)
        diversity.update(samples, batch.waveform)
    assert logged["val/frechet_log_mel"] == pytest.approx(frechet.compute().item(), rel=1e-5)
    assert logged["val/diversity"] == pytest.approx(diversity.compute().item(), rel=1e-5)
    assert "val/si_sdr" not in logged


def test_evaluation_clips_are_cut_to_the_length_that_the_model_makes():
    _, evaluation, _ = evaluate(clip_samples=400)
    assert evaluation._num_sampled == 8 * 4
    assert evaluation.metrics["diversity"].update_count == 2


def test_the_number_of_samples_is_bounded():
    _, evaluation, _ = evaluate(max_samples=5)
    assert evaluation._num_sampled == 5


def test_the_same_noise_each_time():
    first, _, _ = evaluate()
    torch.rand(3)
    second, _, _ = evaluate()
    assert first["val/frechet_log_mel"] == second["val/frechet_log_mel"]


class PeakDifference(ClipMean):
    def values(self, estimate, target):
        return (estimate.abs().amax((1, 2)) - target.abs().amax((1, 2))).abs()


def test_an_added_metric_is_logged_and_has_a_row_with_its_interval(tmp_path):
    module, data = ToyModule(8000, 1600), ToyDataModule(num_clips=8)
    evaluation = Evaluation(metrics={"peak_difference": PeakDifference()})
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = Trainer(default_root_dir=tmp_path, callbacks=[evaluation], num_sanity_val_steps=0, **options)
    (validated,) = trainer.validate(module, data, verbose=False)
    expected = PeakDifference()
    for batch in data.val_dataloader():
        expected.update(module.reconstruct(batch.waveform), batch.waveform)
    assert validated["val/peak_difference"] == pytest.approx(expected.compute().item(), rel=1e-5)
    assert "val/log_mel_distance" in validated
    trainer.test(module, data, verbose=False)
    rows = {score.name: score for score in evaluation.scores if score.of == "reconstructions"}
    assert rows["peak_difference"].low <= rows["peak_difference"].value <= rows["peak_difference"].high
    assert "chroma_similarity" in rows
