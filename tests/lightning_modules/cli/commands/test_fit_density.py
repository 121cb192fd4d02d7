import functools

import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from lightning_modules import load_module
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import describe_module
from lightning_modules.checkpoints.file import KEY
from lightning_modules.cli import main
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.mixture_priors import GaussianMixture
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.inference.density import DrawFromDensity, load_density, save_density
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.schedules.kl_weight import ConstantKLWeight
from lightning_modules.vae import VAE


@pytest.fixture
def checkpoint(tmp_path, tiny_run_data):
    """A VAE that was never trained, in a run folder whose config names the tiny release."""
    torch.manual_seed(0)
    model = VAE(
        sample_rate=16000,
        clip_samples=4096,
        encoder=ConvNeXtEncoder(1, 8, strides=(16, 16), stem_channels=(6,), num_blocks=1),
        prior=StandardNormal(4),
        likelihood=GaussianLikelihood(),
        kl_weight=ConstantKLWeight(),
        optimizer=functools.partial(torch.optim.AdamW, lr=1e-3),
        coarse_generator=CoarseGenerator(4, 256, hidden_size=8),
        latent_size=4,
    )
    run = tmp_path / "runs/vae/one"
    (run / "checkpoints").mkdir(parents=True)
    options = dict(option.removeprefix("--data.").split("=", 1) for option in tiny_run_data)
    options = {name: float(value) if "seconds" in name else value for name, value in options.items()}
    options = {name: int(value) if str(value).isdigit() else value for name, value in options.items()}
    data = {"class_path": "datamodules.MaestroDataModule", "init_args": options}
    (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create({"data": data})))
    path = run / "checkpoints/best.ckpt"
    torch.save({KEY: describe_module(model, GenerativeModule), "state_dict": model.state_dict()}, path)
    return path


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ([], "GaussianMixture"),
        (
            ["--estimator", "AutoregressiveFit", "--estimator.steps=30", "--estimator.hidden_size=8"],
            "AutoregressivePrior",
        ),
    ],
)
def test_a_density_beats_the_prior_on_held_out_latents(checkpoint, options, kind, capsys):
    main(["fit_density", str(checkpoint), "--epochs", "1", *options])
    text = capsys.readouterr().out
    figures = text.split("validation split: ")[1]
    own, prior = float(figures.split(" ")[0]), float(figures.split("prior: ")[1].split(".\n")[0])
    assert own > prior
    saved = load_density(checkpoint.with_name("best.density.npz"))
    assert type(saved.density).__name__ == kind
    assert saved.checkpoint == "best.ckpt"
    assert ", latents of the training split, 1/1\n" in text
    fitted = checkpoint.with_name("best.density.npz")
    assert f"lightning test --ckpt_path {checkpoint} --density {fitted}" in text


def test_a_density_is_never_overwritten(checkpoint):
    first = checkpoint.with_name("best.density.npz")
    first.write_bytes(b"the work of eight minutes")
    main(["fit_density", str(checkpoint), "--epochs", "1"])
    assert first.read_bytes() == b"the work of eight minutes"
    assert load_density(checkpoint.with_name("best-2.density.npz")).checkpoint == "best.ckpt"


def test_generate_draws_from_a_density(checkpoint, tmp_path):
    density = GaussianMixture(4, 1, spread=3.0)
    torch.nn.init.constant_(density.log_variance, -40.0)  # all but a point
    save_density(density, tmp_path / "a.density.npz", "best.ckpt")
    folders = [f"--density={tmp_path}/a.density.npz", f"--output={tmp_path}/out"]
    main(["generate", str(checkpoint), "--num_clips=1", "--seconds=0.064", "--device=cpu", *folders])
    model = load_module(checkpoint)
    expected = model.decode_latent(density.mean[0][None, :, None].expand(1, 4, 4))[0, 0]
    written = torch.from_numpy(soundfile.read(tmp_path / "out/clip_0000.wav", dtype="float32")[0])
    torch.testing.assert_close(written, expected, atol=1e-3, rtol=0)
    folders[1] = f"--output={tmp_path}/way"
    main(["interpolate", str(checkpoint), "1", "2", "--steps=2", "--seconds=0.064", "--device=cpu", *folders])
    written = torch.from_numpy(soundfile.read(tmp_path / "way/step_00.wav", dtype="float32")[0])
    torch.testing.assert_close(written, expected, atol=1e-3, rtol=0)


def test_the_trainers_verbs_draw_from_a_density(checkpoint, tmp_path):
    density = GaussianMixture(4, 1, spread=3.0)
    save_density(density, tmp_path / "a.density.npz", "best.ckpt")
    model = load_module(checkpoint)
    callback = DrawFromDensity(str(tmp_path / "a.density.npz"))
    for start in (callback.on_test_start, callback.on_validation_start, callback.on_predict_start):
        model.replace_prior(StandardNormal(4))
        start(None, model)
        torch.testing.assert_close(model.latent_prior().mean, density.mean)


def test_outside_a_run_folder_the_data_is_not_known(checkpoint, tmp_path, capsys):
    moved = checkpoint.rename(tmp_path / "best.ckpt")
    with pytest.raises(SystemExit):
        main(["fit_density", str(moved)])
    assert "lies in no run folder" in capsys.readouterr().err
