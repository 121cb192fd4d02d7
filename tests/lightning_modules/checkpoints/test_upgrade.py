import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules import load_module
from lightning_modules.checkpoints.description import describe
from lightning_modules.checkpoints.file import KEY, read_checkpoint
from lightning_modules.checkpoints.upgrade import FORMAT, exported_path, from_format_1, upgraded
from lightning_modules.errors import CheckpointError
from lightning_modules.inference.density import load_density

OLD = Path(__file__).parents[2] / "data" / "format_1"


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads differ in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["vae", "vocoder"])
def test_checkpoints_of_format_1_reconstruct_the_same_samples(name):
    with np.load(OLD / "reconstructions.npz") as arrays:
        waveform, expected = torch.from_numpy(arrays["waveform"]), torch.from_numpy(arrays[name])
    module = load_module(OLD / f"{name}.ckpt")
    with torch.no_grad():
        torch.testing.assert_close(module.reconstruct(waveform), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", ["vae", "vocoder"])
def test_an_upgraded_description_is_that_of_the_module_it_makes(name):
    old = torch.load(OLD / f"{name}.ckpt", weights_only=True)[KEY]
    before = copy.deepcopy(old)
    new = upgraded(old, "module", "old.ckpt")
    assert old == before and old["format"] == 1 and new["format"] == FORMAT
    assert upgraded(new, "module", "old.ckpt") is new
    written = describe(load_module(OLD / f"{name}.ckpt"))
    for arguments in (new["module"]["init_args"], written["init_args"]):
        for role in ("encoder", "decoder"):  # a hop that follows from the strides is written out
            arguments.get(role, {"init_args": {}})["init_args"].pop("hop_samples", None)
        for role in ("optimizer", "generator_optimizer", "critic_optimizer"):  # torch's, known by two names
            arguments.pop(role, None)
    later = set(written["init_args"]) - set(new["module"]["init_args"])  # arguments that have come since
    assert new["module"]["class_path"] == written["class_path"]
    assert new["module"]["init_args"] == {
        name: value for name, value in written["init_args"].items() if name not in later
    }


@pytest.mark.parametrize("name", ["vae", "vocoder"])
def test_optimisers_of_format_1_go_on(name):
    module = load_module(OLD / f"{name}.ckpt")
    states = read_checkpoint(OLD / f"{name}.ckpt")["optimizer_states"]
    configured = module.configure_optimizers()
    configured = configured if isinstance(configured, list) else [configured]
    optimizers = [each["optimizer"] if isinstance(each, dict) else each for each in configured]
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict(state)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        assert len(optimizer.state) == len(state["state"]) > 0
        assert all(optimizer.state[each]["exp_avg"].shape == each.shape for each in optimizer.state)
        assert len(parameters) == sum(len(group["params"]) for group in state["param_groups"])


def test_a_density_of_format_1():
    saved = load_density(OLD / "vae.density.npz")
    with np.load(OLD / "vae.density.npz") as arrays:
        assert json.loads(str(arrays["header"]))["format"] == 1
        assert torch.equal(saved.density.mean, torch.from_numpy(arrays["mean"]))
    assert type(saved.density).__name__ == "GaussianMixture"


def test_arguments_of_decoders():
    head = {
        "class_path": "lightning_modules.networks.decoder.InverseSTFTHead",
        "init_args": {"hidden_size": 8, "hop_samples": 64, "channels": 2, "overlap": 3},
    }
    new_head = {"class_path": "lightning_modules.networks.InverseSTFTHead", "init_args": {"overlap": 3}}
    strided = {
        "class_path": "lightning_modules.networks.multirate.MultirateDecoder",
        "init_args": {"latent_size": 4, "head": head, "widths": [6, 8], "strides": [4], "num_units": 1},
    }
    assert from_format_1([strided]) == [
        {
            "class_path": "lightning_modules.networks.StridedDecoder",
            "init_args": {
                "latent_size": 4,
                "widths": [6, 8],
                "strides": [4, 64],
                "channels": 2,
                "num_units": 1,
                "waveform_head": new_head,
            },
        }
    ]
    convnext = {
        "class_path": "lightning_modules.networks.decoder.ConvNeXtDecoder",
        "init_args": {"latent_size": 4, "head": head, "num_blocks": 2, "kernel_size": 5},
    }
    assert from_format_1(convnext)["init_args"] == {
        "latent_size": 4,
        "num_blocks": 2,
        "kernel_size": 5,
        "hidden_size": 8,
        "hop_samples": 64,
        "channels": 2,
        "waveform_head": new_head,
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lightning_modules.networks.discriminator.MelGANTrunk", "lightning_modules.networks.MelGANTrunk"),
        (
            "lightning_modules.networks.multirate.MultirateEncoder",
            "lightning_modules.networks.StridedEncoder",
        ),
        ("lightning_modules.vae.VAE", "lightning_modules.VAE"),
        ("my_models.networks.thing.Thing", "my_models.networks.thing.Thing"),
        ("torch.optim.adam.Adam", "torch.optim.adam.Adam"),
    ],
)
def test_class_paths(old, new):
    assert exported_path(old) == new


@pytest.mark.parametrize("number", [0, 3, None, "two"])
def test_an_unknown_format_is_refused_by_name(number):
    with pytest.raises(CheckpointError, match=rf"x.ckpt has the format {number!r}; .* formats 1 to {FORMAT}"):
        upgraded({"format": number, "module": {}}, "module", "x.ckpt")


def test_wavelets_around_another_network_are_refused_by_name():
    packets = {
        "class_path": "lightning_modules.networks.wavelet.WaveletPackets",
        "init_args": {"levels": 2, "wavelet": "haar"},
    }
    inner = {"class_path": "lightning_modules.networks.encoder.ConvNeXtEncoder", "init_args": {"channels": 4}}
    old = {
        "class_path": "lightning_modules.networks.wavelet.WaveletEncoder",
        "init_args": {"encoder": inner, "packets": packets},
    }
    with pytest.raises(CheckpointError, match=r"around a lightning_modules\.networks\.ConvNeXtEncoder"):
        from_format_1(old)


def test_a_description_that_nobody_wrote():
    with pytest.raises(CheckpointError, match=r"x\.ckpt has the format 1, and a description that no version"):
        upgraded({"format": 1}, "module", "x.ckpt")
