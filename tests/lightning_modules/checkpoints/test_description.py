"""Checkpoints describe themselves, run no code when opened, and are written in whole or not at all."""

import functools
import pickle
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from toy_experiment import Scale, Shift, ToyDataModule, ToyModule

from lightning_modules import load_module
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import describe, instantiate
from lightning_modules.checkpoints.file import KEY, read_checkpoint
from lightning_modules.checkpoints.upgrade import FORMAT
from lightning_modules.errors import CheckpointError


class Forgetful(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)


class Plain(nn.Module):
    """Without a constructor."""


class Variadic(nn.Module):
    def __init__(self, *widths: int) -> None:
        super().__init__()


class TensorKeeper(nn.Module):
    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))


def write_checkpoint(folder: Path) -> Path:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1}
    trainer = pl.Trainer(**quiet, accelerator="cpu", enable_checkpointing=False, default_root_dir=folder)
    trainer.fit(ToyModule(8000, 1600, network=Shift(0.5, [1, 2])), datamodule=ToyDataModule())
    path = folder / "model.ckpt"
    trainer.save_checkpoint(path)
    return path


def test_description_has_the_form_of_an_experiment_file() -> None:
    optimizer = functools.partial(torch.optim.Adam, lr=0.25, betas=(0.5, 0.9))
    module = ToyModule(8000, 1600, network=Shift(0.5, [1, 2]), optimizer=optimizer)
    assert describe(module) == {
        "class_path": "toy_experiment.ToyModule",
        "init_args": {
            "sample_rate": 8000,
            "clip_samples": 1600,
            "channels": 1,
            "network": {
                "class_path": "toy_experiment.Shift",
                "init_args": {"offset": 0.5, "powers": [1, 2]},
            },
            "optimizer": {
                "class_path": "torch.optim.Adam",
                "init_args": {"lr": 0.25, "betas": [0.5, 0.9]},
            },
            "fail_at_step": -1,
            "kill_at_step": -1,
            "val_log_mel": None,
        },
    }


def test_description_and_instantiation_are_inverse() -> None:
    optimizer = functools.partial(torch.optim.Adam, lr=0.25)
    first = describe(ToyModule(8000, 1600, 2, network=Scale(0.75), optimizer=optimizer))
    rebuilt = instantiate(first, GenerativeModule)
    assert isinstance(rebuilt, ToyModule)
    (group,) = rebuilt.configure_optimizers().param_groups
    assert (group["lr"], rebuilt.channels, rebuilt.network.initial) == (0.25, 2, 0.75)
    second = describe(rebuilt)
    assert second["init_args"]["optimizer"]["init_args"]["lr"] == 0.25
    assert describe(instantiate(second, GenerativeModule)) == second


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Forgetful(),
            "ToyModule.network is a Forgetful, which does not keep its constructor argument 'width'",
        ),
        (Variadic(), r"Variadic, whose constructor takes \*widths: int: a checkpoint cannot know"),
        (TensorKeeper(), r"TensorKeeper.gain is a Parameter of shape \(\)"),
    ],
)
def test_roles_that_cannot_be_described(network: nn.Module, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        describe(ToyModule(8000, 1600, network=network))


def test_a_role_without_arguments() -> None:
    description = describe(ToyModule(8000, 1600, network=Plain()))
    assert description["init_args"]["network"] == {"class_path": f"{Plain.__module__}.Plain", "init_args": {}}


def test_functions_and_local_classes_cannot_be_described() -> None:
    with pytest.raises(
        CheckpointError, match=r"ToyModule.optimizer is <function .*lambda(.|\n)*functools.partial"
    ):
        describe(ToyModule(8000, 1600, optimizer=lambda parameters: torch.optim.SGD(parameters)))

    class Local(nn.Module):
        pass

    with pytest.raises(CheckpointError, match=r"\.Local, which cannot be imported again"):
        describe(ToyModule(8000, 1600, network=Local()))
    with pytest.raises(
        CheckpointError, match=r"use functools\.partial of a class, with keyword arguments only"
    ):
        describe(functools.partial(max, 1))


def test_fit_refuses_at_once_what_could_not_be_saved(tmp_path: Path) -> None:
    from lightning_modules.training.run_checkpoint import RunCheckpoint

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1}
    trainer = pl.Trainer(**quiet, accelerator="cpu", callbacks=[RunCheckpoint()], default_root_dir=tmp_path)
    with pytest.raises(CheckpointError, match="Forgetful"):
        trainer.fit(ToyModule(8000, 1600, network=Forgetful()), datamodule=ToyDataModule())
    assert trainer.global_step == 0


def test_a_checkpoint_opens_from_its_path_alone(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = read_checkpoint(path)
    assert content[KEY]["sample_rate"] == 8000
    assert content[KEY]["clip_samples"] == 1600
    assert content[KEY]["data"] == {"release": "mini", "performances": 16}
    assert content[KEY]["versions"]["torch"] == torch.__version__.split("+")[0]
    module = load_module(path)
    assert isinstance(module, ToyModule)
    assert not module.training
    assert module.network.powers == [1, 2]
    assert module.network.weight.item() == content["state_dict"]["network.weight"].item() != 0.5
    clip = torch.ones(1, 1, 4)
    assert torch.equal(module.reconstruct(clip), clip + module.network.weight)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.ckpt does not exist"):
        load_module(tmp_path / "nothing.ckpt")
    text = tmp_path / "text.ckpt"
    text.write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match=r"text.ckpt is not a checkpoint"):
        load_module(text)
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(CheckpointError, match=r"not one of this program: it has no 'generative_module'"):
        load_module(foreign)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model.ckpt is truncated \(1000 bytes\)"):
        load_module(path)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code from the checkpoint was run",))


def test_pickled_payload_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, KEY: Payload()}, path, pickle_module=pickle)
    with pytest.raises(CheckpointError, match="holds pickled objects besides tensors and plain values"):
        load_module(path)


def test_description_that_does_not_fit_this_version(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    content[KEY]["format"] = 99
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="has the format 99; this version reads the formats 1 to 2"):
        load_module(path)
    gone = {"class_path": "toy_experiment.Gone", "init_args": {}}
    with pytest.raises(
        CheckpointError, match=r"toy_experiment\.Gone \(at description\), which does not exist"
    ):
        load_module(changed(path, gone))
    with pytest.raises(CheckpointError, match=r"torch\.nn\.Linear \(at description\), which is no part"):
        load_module(changed(path, {"class_path": "torch.nn.Linear", "init_args": {}}))
    with pytest.raises(CheckpointError, match=r"old_option is an argument that ToyModule does not take"):
        unknown = {"sample_rate": 8000, "clip_samples": 1600, "old_option": 1}
        load_module(changed(path, {"class_path": "toy_experiment.ToyModule", "init_args": unknown}))


def changed(path: Path, description: dict[str, Any]) -> Path:
    content = torch.load(path, weights_only=True)
    content[KEY].update(format=FORMAT, module=description)
    torch.save(content, path)
    return path


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.bias"] = torch.zeros(1)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"The weights in .* do not fit ToyModule(.|\n)*network.bias"):
        load_module(path)
