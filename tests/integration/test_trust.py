"""What came along runs nothing: routes into a checkpoint, a density and a run's config, by every verb."""

import copy
import json
import pickle
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from toy_models import make_vae, save

from lightning_modules import load_module
from lightning_modules.checkpoints.file import KEY
from lightning_modules.cli import main
from lightning_modules.errors import CheckpointError

ARGUMENTS = {
    "generate": [],
    "reconstruct": ["a.wav"],
    "interpolate": ["1", "2"],
    "export": [],
    "fit_density": [],
    "render": ["a.mid"],
    "transcribe": ["a.wav"],
}
VERBS = ("fit", "test", "validate", "predict")
PLANTED = "from pathlib import Path\nPath({mark!r}).touch()\nclass Thing:\n    pass\n"


def popen(mark: Path) -> dict[str, object]:
    return {"class_path": "subprocess.Popen", "init_args": {"args": f"touch {mark}", "shell": True}}


def with_scheduler(anneal_epochs: object) -> dict[str, object]:
    arguments = {"swa_lr": 0.1, "anneal_epochs": anneal_epochs}
    return {"lr_scheduler": {"class_path": "torch.optim.swa_utils.SWALR", "init_args": arguments}}


def with_optimizer(**arguments: object) -> dict[str, object]:
    return {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": arguments}}


ROUTES = {
    "untyped parameter": lambda mark: with_scheduler(popen(mark)),
    "text of YAML": lambda mark: with_scheduler(json.dumps(popen(mark))),
    "dictionary argument": lambda mark: with_optimizer(lr=popen(mark)),
    "list argument": lambda mark: with_optimizer(betas=[popen(mark)]),
    "function": lambda mark: {"optimizer": {"class_path": "os.system", "init_args": {"command": "touch a"}}},
    "text of a function": lambda mark: {"lr_scheduler": "os.system"},
    "method": lambda mark: {"prior": {"class_path": "pathlib.Path.touch", "init_args": {}}},
    "truncating handler": lambda mark: with_scheduler(
        {"class_path": "logging.FileHandler", "init_args": {"filename": str(mark), "mode": "w"}}
    ),
    "what our modules import": lambda mark: {
        "prior": {"class_path": "lightning_modules.runs.code_version.subprocess.Popen", "init_args": {}}
    },
    "module of the working folder": lambda mark: {"prior": {"class_path": "planted.Thing", "init_args": {}}},
    "dotted key": lambda mark: {"prior.class_path": "planted.Thing"},
}
CONFIG_ROUTES = {
    "callback": lambda mark: {"trainer": {"callbacks": [popen(mark)]}},
    "callback of the working folder": lambda mark: {
        "trainer": {"callbacks": [{"class_path": "planted.Thing"}]}
    },
    "logger as text": lambda mark: {"trainer": {"logger": "planted.Thing"}},
    "strategy as text": lambda mark: {"trainer": {"strategy": "planted.Thing"}},
    "dotted section": lambda mark: {"trainer.callbacks": [{"class_path": "planted.Thing"}]},
    "strategy through another option": lambda mark: {
        "experiment": "planted.Thing",
        "trainer": {"strategy": "${experiment}"},
    },
    "section of a verb": lambda mark: {"fit": {"trainer": {"callbacks": [{"class_path": "planted.Thing"}]}}},
    "another config": lambda mark: {"config": "other.yaml"},
    "data": lambda mark: {"data": {"class_path": "planted.Thing"}},
    "model": lambda mark: {"model": {"class_path": "planted.Thing"}},
    "an argument of the model": lambda mark: {
        "model": {"class_path": "toy_experiment.ToyModule", "init_args": {"network": popen(mark)}}
    },
}
LEAVING_ROUTES = {
    "logger's folder": lambda out: logger("TensorBoardLogger", save_dir=str(out)),
    "logger's folder, relative": lambda out: logger("TensorBoardLogger", save_dir="."),
    "logger's name": lambda out: logger("TensorBoardLogger", save_dir="runs/toy/one", name="../../../out"),
    "own logger's folder": lambda out: {
        "trainer": {
            "logger": {
                "class_path": "lightning_modules.loggers.csv_logger.RunCSVLogger",
                "init_args": {"root": str(out)},
            }
        }
    },
    "what a callback writes": lambda out: callback(
        "lightning_modules.training.record_run.RecordRun", root=str(out), config="anything"
    ),
    "checkpoint's folder": lambda out: {"checkpoint": {"dirpath": str(out)}},
    "checkpoint's name": lambda out: {"checkpoint": {"filename": "../../../../out/a"}},
    "checkpoint's name through another option": lambda out: {
        "wandb": {"notes": "../../../../out/a"},
        "checkpoint": {"filename": "${wandb.notes}"},
    },
    "second checkpoint": lambda out: callback(
        "lightning_modules.training.run_checkpoint.RunCheckpoint", dirpath=str(out)
    ),
    "evaluation's cache": lambda out: callback(
        "lightning_modules.callbacks.evaluation.Evaluation", listening_cache=str(out)
    ),
    "density of a callback": lambda out: callback(
        "lightning_modules.inference.density.DrawFromDensity", path=str(out / "a.npz")
    ),
    "model registry": lambda out: {"trainer": {"model_registry": "elsewhere/model"}},
    "environment": lambda out: {"wandb": {"notes": "${oc.env:SECRET}"}},
    "environment in a nested reference": lambda out: {"wandb": {"notes": "${data.${oc.env:SECRET}}"}},
    "environment in a source": lambda out: {
        "data": {
            "class_path": "datamodules.MaestroDataModule",
            "init_args": {"source": "http://localhost/${oc.env:SECRET}"},
        }
    },
}


def logger(class_name: str, **arguments: object) -> dict[str, object]:
    return {
        "trainer": {
            "logger": {"class_path": f"lightning.pytorch.loggers.{class_name}", "init_args": arguments}
        }
    }


def callback(class_path: str, **arguments: object) -> dict[str, object]:
    return {"trainer": {"callbacks": [{"class_path": class_path, "init_args": arguments}]}}


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture(scope="module")
def vae(tmp_path_factory) -> Path:
    return save(make_vae(), tmp_path_factory.mktemp("vae") / "vae.ckpt")


@pytest.fixture
def mark(tmp_path, monkeypatch) -> Path:
    """A file that code of a route would make; in the working folder lies a module that makes it too."""
    path = tmp_path / "mark"
    (tmp_path / "planted.py").write_text(PLANTED.format(mark=str(path)))
    (tmp_path / "other.yaml").write_text("trainer: {callbacks: [{class_path: planted.Thing}]}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return path


def nothing_ran(mark: Path) -> bool:
    time.sleep(0.05)  # a process of its own may take a moment
    return not mark.exists() and "planted" not in sys.modules


def changed(checkpoint: Path, target: Path, **arguments: object) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    content[KEY]["module"]["init_args"].update(arguments)
    torch.save(content, target)
    return target


def run_folder(tmp_path: Path, checkpoint: Path, config: dict[str, object]) -> Path:
    folder = tmp_path / "runs" / "toy" / "one"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Path(shutil.copy(checkpoint, folder / "checkpoints" / "last.ckpt"))


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_a_planted_pickle_is_refused(verb, mark, tmp_path, capsys):
    checkpoint = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, KEY: Payload(mark)}, checkpoint, pickle_module=pickle)
    torch.load(checkpoint, weights_only=False)
    assert mark.exists(), "the payload must work"
    mark.unlink()
    with pytest.raises(SystemExit) as end:
        main([verb, str(checkpoint), *ARGUMENTS[verb], "--output", str(tmp_path / "out")])
    assert end.value.code == 1
    assert "evil.ckpt holds pickled objects besides tensors" in capsys.readouterr().err
    assert nothing_ran(mark) and not (tmp_path / "out").exists()


def pairs(routes: Iterable[str], verbs: Iterable[str], at_once: int) -> list:
    """Every route by every verb; all but `at_once` verbs of each route, by turns, are slow tests."""
    rows, columns = list(routes), list(verbs)
    return [
        pytest.param(route, verb, marks=() if (column - row) % len(columns) < at_once else pytest.mark.slow)
        for row, route in enumerate(rows)
        for column, verb in enumerate(columns)
    ]


@pytest.mark.parametrize(("route", "verb"), pairs(ROUTES, ARGUMENTS, 2))
def test_no_description_runs_anything(verb, route, vae, mark, tmp_path, capsys):
    checkpoint = changed(vae, tmp_path / "evil.ckpt", **ROUTES[route](mark))
    with pytest.raises(SystemExit) as end:
        main([verb, str(checkpoint), *ARGUMENTS[verb], "--output", str(tmp_path / "out")])
    assert end.value.code == 1
    assert "evil.ckpt" in capsys.readouterr().err
    assert nothing_ran(mark) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "header",
    [
        lambda mark: popen(mark),
        lambda mark: {"class_path": "planted.Thing", "init_args": {}},
        lambda mark: {
            "class_path": "lightning_modules.distributions.priors.StandardNormal",
            "init_args": {"latent_size": popen(mark)},
        },
    ],
)
def test_no_density_runs_anything(header, vae, mark, tmp_path, capsys):
    content = {"format": 1, "checkpoint": "vae.ckpt", "density": header(mark)}
    np.savez(tmp_path / "a.density.npz", header=np.array(json.dumps(content)))
    with pytest.raises(SystemExit):
        main(["generate", str(vae), "--density", "a.density.npz", "--output", "out"])
    assert "a.density.npz" in capsys.readouterr().err
    assert nothing_ran(mark)


@pytest.mark.parametrize(("route", "verb"), pairs(CONFIG_ROUTES, VERBS, 1))
def test_the_config_of_a_run_runs_nothing(verb, route, vae, mark, tmp_path, toy_yaml, capsys):
    config = {**yaml.safe_load(toy_yaml.read_text()), **CONFIG_ROUTES[route](mark)}
    checkpoint = run_folder(tmp_path, vae, config)
    with pytest.raises(SystemExit) as end:
        main([verb, "--ckpt_path", str(checkpoint)])
    assert end.value.code == 1
    assert "config.yaml" in capsys.readouterr().err
    assert nothing_ran(mark)
    assert sorted(path.name for path in checkpoint.parents[1].iterdir()) == ["checkpoints", "config.yaml"]


@pytest.mark.parametrize(("route", "verb"), pairs(LEAVING_ROUTES, VERBS, 1))
def test_the_config_of_a_run_leaves_its_folder_nowhere(
    verb, route, vae, mark, tmp_path, toy_yaml, monkeypatch, capsys
):
    """Neither by what it makes the program write, nor by what it makes it tell of the environment."""
    monkeypatch.setenv("SECRET", "hunter2")
    config = {**yaml.safe_load(toy_yaml.read_text()), **LEAVING_ROUTES[route](tmp_path / "out")}
    checkpoint = run_folder(tmp_path, vae, config)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main([verb, "--ckpt_path", str(checkpoint), "--trust", "toy_experiment"])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert f"--config {checkpoint.parents[1] / 'config.yaml'}" in said and "hunter2" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_config_that_is_named_may_write_where_it_says(toy_yaml, tmp_path, monkeypatch):
    """It is the person's program; the run that it makes goes on when the config is named again."""
    monkeypatch.chdir(tmp_path)
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    elsewhere = ["--checkpoint.dirpath", str(tmp_path / "elsewhere")]
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", *elsewhere, *quiet])
    assert (tmp_path / "elsewhere" / "last.ckpt").is_file()


def test_the_config_of_a_run_fills_no_memory(toy_yaml, tmp_path, monkeypatch, capsys):
    """What it builds may take what the weights of its checkpoint are worth."""
    monkeypatch.chdir(tmp_path)
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    main(
        ["fit", "--config", str(toy_yaml), "--run_id", "one", "--model", "toy_experiment.WideModule", *quiet]
    )
    config = tmp_path / "runs/toy/one/config.yaml"
    config.write_text(config.read_text().replace("width: 1", "width: 90_000_000"))
    before = sorted(tmp_path.rglob("*"))
    for verb in ("fit", "test"):
        with pytest.raises(SystemExit):
            main([verb, "--ckpt_path", "runs/toy/one/checkpoints/last.ckpt", "--trust", "toy_experiment"])
        assert "which its weights are not worth" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_data_section_of_a_run_runs_nothing(vae, mark, tmp_path, capsys):
    checkpoint = run_folder(tmp_path, vae, {"data": {"class_path": "planted.Thing"}})
    with pytest.raises(SystemExit):
        main(["fit_density", str(checkpoint)])
    assert "planted.Thing" in capsys.readouterr().err
    assert nothing_ran(mark)


def test_a_model_of_ones_own_opens_when_its_package_is_named(tmp_path, monkeypatch, capsys):
    """A file in the working folder: refused with the words that open it, and opened by them."""
    (tmp_path / "own_model.py").write_text(
        "from lightning_modules.vae import VAE\n\n\nclass OwnVAE(VAE):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    checkpoint = save(make_vae(), tmp_path / "own.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    content[KEY]["module"]["class_path"] = "own_model.OwnVAE"
    torch.save(content, checkpoint)
    with pytest.raises(SystemExit):
        main(["generate", str(checkpoint), "--num_clips", "1", "--output", "out"])
    assert "add --trust own_model" in capsys.readouterr().err
    assert "own_model" not in sys.modules
    main(["generate", str(checkpoint), "--num_clips", "1", "--output", "out", "--trust", "own_model"])
    assert (tmp_path / "out" / "clip_0000.wav").is_file()
    with pytest.raises(CheckpointError, match=r"trust=\['own_model'\]"):
        load_module(checkpoint)
    opened = load_module(checkpoint, trust=["own_model"])
    assert type(opened).__name__ == "OwnVAE"
    assert type(type(opened).load_from_checkpoint(checkpoint)) is type(opened), (
        "whoever asks for it trusts it"
    )


def test_trust_does_not_come_along(vae, mark, tmp_path, capsys):
    checkpoint = run_folder(tmp_path, vae, {"trust": "planted"})
    with pytest.raises(SystemExit):
        main(["test", "--ckpt_path", str(checkpoint)])
    assert "has the option 'trust'" in capsys.readouterr().err
    assert nothing_ran(mark)


def test_the_words_of_a_file_do_not_steer_the_terminal(vae, tmp_path, capsys):
    checkpoint = changed(vae, tmp_path / "evil.ckpt", **with_optimizer(**{"\x1b]52;c;bHM=\x07": 1}))
    with pytest.raises(SystemExit):
        main(["generate", str(checkpoint), "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert r"\x1b]52" in said and "\x1b" not in said and said.count("\n") == 2


def wide(hidden_size: int) -> dict[str, object]:
    """The encoder of `make_vae`, far too wide."""
    arguments = {"channels": 1, "hidden_size": hidden_size, "strides": [4, 4], "stem_channels": [6]}
    return {"class_path": "lightning_modules.networks.encoder.ConvNeXtEncoder", "init_args": arguments}


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [0, -1, 10**9, 10**400], ids=["zero", "negative", "large", "endless"])
@pytest.mark.parametrize("name", ["sample_rate", "clip_samples", "channels", "global_step"])
def test_numbers_beside_the_description_are_looked_at(name, value, vae, tmp_path):
    content = torch.load(vae, weights_only=True)
    if name == "global_step":
        value = -1 if value == 0 else value + (1 << 63) * (value > 0)
        content[name] = value
    else:
        content[KEY][name] = value
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=f"a.ckpt is damaged: {name} is"):
        load_module(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_samples": 10**9}, "no argument may be more than 100,000,000"),
        ({"clip_samples": 10**400}, "is a number of many digits, and no argument may be more"),
        ({"lr_scheduler": {"class_path": "lightning_modules" + ".a" * 50_000}}, "no path of a class"),
        ({"encoder": wide(3000)}, "which its weights are not worth"),
        ({"free_nats": deep(60)}, "nested deeper than 24 levels"),
        ({"free_nats": [0] * 30_000}, "more than 20000 values"),
    ],
)
def test_what_would_fill_the_memory_is_refused(arguments, message, vae, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load_module(changed(vae, tmp_path / "big.ckpt", **copy.deepcopy(arguments)))
