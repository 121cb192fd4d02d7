"""Which classes a file may name: every parameter that a description leads to, one after the other."""

import inspect
import pkgutil
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module

import lightning.pytorch as pl
import pytest
import torch

import datamodules
import lightning_modules
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import instantiate
from lightning_modules.checkpoints.trust import (
    Inspection,
    _is_plain,
    _members,
    _roles,
    check_description,
    parameter_hints,
    trusted_packages,
)
from lightning_modules.distributions.priors import Prior
from lightning_modules.errors import CheckpointError

PAYLOAD = {"class_path": "subprocess.Popen", "init_args": {"args": ["true"]}}
SKIPPED = ("lightning_modules.__main__",)


def own_classes() -> list[type]:
    """All classes that the two packages define."""
    found = {}
    for package in (lightning_modules, datamodules):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name not in SKIPPED:
                for name, value in vars(import_module(module.name)).items():
                    if isinstance(value, type) and value.__module__ == module.name:
                        found[f"{module.name}.{name}"] = value
    return list(found.values())


def reachable() -> Iterator[tuple[type, str, object]]:
    """Every parameter that a model, a density or a data module leads to: its class, name and hint."""
    classes = own_classes()
    classes += [value for value in vars(torch.optim).values() if isinstance(value, type)]
    classes += [value for value in vars(torch.optim.lr_scheduler).values() if isinstance(value, type)]
    waiting: list[type] = [GenerativeModule, Prior, pl.LightningDataModule]
    seen: set[type] = set()
    while waiting:
        role = waiting.pop()
        for found in [each for each in classes if issubclass(each, role) and each not in seen]:
            seen.add(found)
            for name, hint in parameter_hints(found).items():
                yield found, name, hint
                waiting += [each for each in _roles(list(_members(hint))) if each.__module__ != "typing"]


REACHABLE = list(reachable())


def test_all_parts_are_reached() -> None:
    names = {found.__name__ for found, _, _ in REACHABLE}
    assert {"VAE", "WaveGAN", "WaveletEncoder", "AutoregressivePrior", "AdamW", "LambdaLR"} <= names
    assert {"MaestroDataModule", "WarmupCosine", "LogMelFeatures"} <= names
    assert len(REACHABLE) > 300


def test_no_parameter_builds_what_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object, one in a list or a table, text of YAML, and a function's name where a class may stand."""

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("built")

    monkeypatch.setattr("subprocess.Popen", never)
    for found, name, hint in REACHABLE:
        refusal = r"subprocess.Popen|os.system|read as a table"
        if is_dataclass(found):  # which the parser builds as part of another class alone
            refusal += "|Expected 'baseclass'"
        payloads: list[object] = [PAYLOAD, [PAYLOAD], {"a": PAYLOAD}, [[PAYLOAD]]]
        if not all(_is_plain(member) for member in _members(hint)):
            payloads += ["{class_path: subprocess.Popen}", "os.system"]
        path = f"{found.__module__}.{found.__qualname__}"
        for payload in payloads:
            argument = "anything" if name == "**" else name
            description = {"class_path": path, "init_args": {argument: payload}}
            with pytest.raises(CheckpointError, match=refusal):
                check_description(description, found, "file")
                instantiate(description, found)


@pytest.mark.parametrize(
    "path", ["lightning_modules.audio.files.Path", "datamodules.files.os", "torch.optim.lr_scheduler.Counter"]
)
def test_what_an_own_module_imports_is_not_its_own(path: str) -> None:
    with pytest.raises(CheckpointError, match=r"is no class of that package|is no path of a class"):
        check_description({"class_path": path}, object | GenerativeModule, "file")


def test_functions_of_own_modules_are_no_classes() -> None:
    with pytest.raises(CheckpointError, match="which is no class of that package"):
        check_description({"class_path": "lightning_modules.cli.main"}, GenerativeModule, "file")


def test_another_role_is_refused() -> None:
    path = "lightning_modules.distributions.priors.StandardNormal"
    with pytest.raises(CheckpointError, match=r"names .*StandardNormal, which is no GenerativeModule"):
        check_description({"class_path": path, "init_args": {"latent_size": 1}}, GenerativeModule, "file")


def test_packages_are_named_by_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTNING_TRUST", "one, two.three,")
    assert trusted_packages(["four"]) == ("four", "one", "two.three")
    inspection = Inspection("file", trusted_packages())
    assert inspection._is_allowed("two.three.Model") and not inspection._is_allowed("two.threefold.Model")
    assert not inspection._is_allowed("lightning.pytorch.callbacks.ModelCheckpoint")
    assert inspection._is_allowed("lightning.pytorch.callbacks.lr_monitor.LearningRateMonitor")


def test_hints_of_a_constructor() -> None:
    class Later:
        def __init__(self, one: "Missing", *rest: int, two: int = 1, **more: int) -> None:  # noqa: F821
            pass

    assert parameter_hints(Later) == {"one": typing.Any, "two": typing.Any, "**": typing.Any}
    assert parameter_hints(object) == {}
    assert inspect.isclass(parameter_hints(pl.Trainer)["max_epochs"]) is False


@pytest.mark.parametrize("value", [10**9, "1000000000", "1e9", "1_000_000_000"])
def test_a_number_may_not_be_larger_as_text(value: object) -> None:
    path = "lightning_modules.distributions.priors.StandardNormal"
    with pytest.raises(CheckpointError, match="no argument may be more than 100,000,000"):
        check_description({"class_path": path, "init_args": {"latent_size": value}}, Prior, "file")
