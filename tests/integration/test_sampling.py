"""What unconditional samples of the default VAE are like, from its prior and from fitted densities.

Trains `experiments/vae.yaml` as a user would, or takes the checkpoint that MAESTRO_CHECKPOINT names; encoder
and decoder are the same for all. MAESTRO_PICTURE names a PNG to draw samples into.

    pytest -m slow -s tests/integration/test_sampling.py
"""

import os
import time
from pathlib import Path

import pytest
import torch

from datamodules import MaestroDataModule
from lightning_modules import load_module
from lightning_modules.audio.framing import cut_into_clips
from lightning_modules.base import GenerativeModule
from lightning_modules.cli import main
from lightning_modules.cli.commands.fit_density import latents
from lightning_modules.distributions.priors import Prior
from lightning_modules.inference.density import AutoregressiveFit, ExpectationMaximisation, nats_per_frame
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.reports.figures import spectrogram_figure

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> GenerativeModule:
    """The best checkpoint of the default experiment."""
    if given := os.environ.get("MAESTRO_CHECKPOINT"):
        return load_module(given)
    runs = tmp_path_factory.mktemp("runs")
    main(["fit", "--config", str(ROOT / "experiments/vae.yaml"), "--runs_dir", str(runs)])
    return load_module(next(runs.glob("vae/*/checkpoints/best.ckpt")))


@pytest.fixture(scope="module")
def data() -> MaestroDataModule:
    """The embedded release."""
    data = MaestroDataModule()
    data.prepare_data()
    data.setup(None)
    return data


@torch.no_grad()
def distances(model: GenerativeModule, prior: Prior, real: torch.Tensor) -> tuple[float, float]:
    """Fréchet distance and diversity of as many samples as there are real clips (B, C, T)."""
    model.replace_prior(prior)
    torch.manual_seed(1)
    metrics = FrechetLogMel(model.sample_rate), Diversity(model.sample_rate)
    for part in real.split(30):
        samples = model.sample(len(part), part.shape[-1])
        for metric in metrics:
            metric.update(samples, part)
    return metrics[0].compute().item(), metrics[1].compute().item()


def draw(model: GenerativeModule, priors: dict[str, Prior], real: torch.Tensor, path: str) -> None:
    """Four seconds of real music, and of each prior."""
    rows = {"real": real[:4].movedim(1, 0).flatten(1)}
    for name, prior in priors.items():
        model.replace_prior(prior)
        torch.manual_seed(2)
        rows[name] = model.sample(1, rows["real"].shape[-1])[0]
    spectrogram_figure(rows, model.sample_rate).savefig(path, dpi=70)


def test_densities_fitted_to_the_latents_sample_better_than_the_prior(model, data, capsys):
    torch.manual_seed(0)
    training = torch.cat([latents(model, data, data.train_dataloader(), "training") for _ in range(2)])
    held_out = latents(model, data, data.test_dataloader(), "test")
    priors, seconds = {"standard normal prior": model.latent_prior()}, {"standard normal prior": 0.0}
    for name, estimator in (
        ("Gaussian mixture (EM)", ExpectationMaximisation()),
        ("autoregressive", AutoregressiveFit()),
    ):
        start = time.perf_counter()
        priors[name] = estimator.fit(training)
        seconds[name] = time.perf_counter() - start
    loaders = data.val_dataloader(), data.test_dataloader()
    waveforms = [data.on_after_batch_transfer(batch, 0).waveform for loader in loaders for batch in loader]
    real = torch.cat([cut_into_clips(waveform, model.clip_samples) for waveform in waveforms])
    frechet, diversity = {}, {}
    likelihood = {name: nats_per_frame(prior, held_out) for name, prior in priors.items()}
    for name, prior in priors.items():
        frechet[name], diversity[name] = distances(model, prior, real)
    with capsys.disabled():
        print(f"\n{len(real)} clips; {'':5} Fréchet (dB²)  diversity  held-out nats per frame  fit (s)")
        for name in priors:
            print(
                f"{name:22} {frechet[name]:10.0f} {diversity[name]:10.2f} {likelihood[name]:17.1f} "
                f"{seconds[name]:14.0f}"
            )
    if picture := os.environ.get("MAESTRO_PICTURE"):
        draw(model, priors, real, picture)
    assert frechet["autoregressive"] <= 0.5 * frechet["standard normal prior"]
    assert likelihood["autoregressive"] > likelihood["Gaussian mixture (EM)"]
    assert likelihood["Gaussian mixture (EM)"] > likelihood["standard normal prior"]
