"""The Trainer's verbs: overlays, overrides, errors in one paragraph."""

import inspect
import itertools
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from toy_experiment import ToyModule

from lightning_modules.base import can_reconstruct
from lightning_modules.cli import main, user_error_text
from lightning_modules.cli.failures import request
from lightning_modules.cli.trainer import TrainerCLI, auto_precision


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Starts the Trainer's command line up to, and without, its verb."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)
    return lambda *arguments: TrainerCLI.start([str(argument) for argument in arguments])


def overlay(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "overlay.yaml"
    path.write_text(text)
    return path


def test_overlays_compose_and_may_change_a_nested_class(start, toy_yaml: Path, tmp_path: Path) -> None:
    change = overlay(
        tmp_path,
        "model: {init_args: {network: {class_path: toy_experiment.Shift, init_args: {powers: [1, 2]}}}}\n"
        "data: {init_args: {batch_size: 8}}\n",
    )
    cli = start("fit", "--config", toy_yaml, "--config", change)
    assert type(cli.model.network).__name__ == "Shift"
    assert cli.model.network.powers == [1, 2]
    assert (cli.datamodule.batch_size, cli.datamodule.num_clips) == (8, 16)


@pytest.mark.parametrize("option", ["--data.release", "--data.init_args.release"])
def test_long_and_short_forms_of_an_override(start, toy_yaml: Path, option: str) -> None:
    short = [
        "--data.source",
        "some/folder",
        "--model.network.initial=0.25",
        "--model.init_args.fail_at_step=7",
    ]
    cli = start("fit", "--config", toy_yaml, option, "v3.0.0", *short)
    assert (cli.datamodule.release, cli.datamodule.source) == ("v3.0.0", "some/folder")
    assert (cli.model.network.initial, cli.model.fail_at_step) == (0.25, 7)


def test_class_names_alone(start, toy_yaml: Path) -> None:
    cli = start("fit", "--config", toy_yaml, "--model", "FixedRateModule", "--data.sample_rate", "44100")
    assert type(cli.model).__name__ == "FixedRateModule"


def test_interpolation_follows_an_override(start, toy_yaml: Path, tmp_path: Path) -> None:
    change = overlay(tmp_path, "trainer: {max_epochs: '${data.init_args.batch_size}'}\n")
    cli = start("fit", "--config", toy_yaml, "--config", change, "--data.batch_size", "3")
    assert cli.trainer.max_epochs == 3


def test_the_model_follows_the_data(start, toy_yaml: Path) -> None:
    cli = start("fit", "--config", toy_yaml, "--data.sample_rate", "12345", "--data.channels", "2")
    assert (cli.model.sample_rate, cli.model.clip_samples, cli.model.channels) == (12345, 1600, 2)


def test_different_sample_rates(toy_yaml: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", str(toy_yaml), "--model", "toy_experiment.FixedRateModule"])
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert (
        "sample_rate is 44100 in the model FixedRateModule but 8000 in the data module ToyDataModule" in error
    )
    assert "What to do: set data.init_args.sample_rate alone" in error


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: {init_args: {betta: 1}}", "'betta'"),
        ("data: {init_args: {sample_rte: 1}}", "'sample_rte'"),
        ("trainer: {max_epoch: 1}", "'trainer.max_epoch'"),
        ("trainr: {max_epochs: 1}", "'trainr.max_epochs'"),
        ("checkpoint: {monitr: x}", "'checkpoint.monitr'"),
    ],
)
def test_unknown_key_is_named(
    toy_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture, text: str, key: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", str(toy_yaml), "--config", str(overlay(tmp_path, text))])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert key in error
    assert len(error.splitlines()) < 15, "the mistake is buried under options"


def test_missing_config(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", "no_such_file.yaml"])
    assert "no_such_file.yaml" in capsys.readouterr().err


def test_data_error_is_a_paragraph_without_traceback(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = ["fit", "--config", str(toy_yaml), "--data.fail_with", "the folder x is missing"]
    with pytest.raises(SystemExit) as exit_:
        main(broken)
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert "error: the folder x is missing\n  What to do: mend it" in error
    assert "Traceback" not in error
    with pytest.raises(Exception, match="the folder x is missing"):
        main([broken[0], "--debug", *broken[1:]])
    assert "LIGHTNING_DEBUG" not in os.environ
    monkeypatch.setenv("LIGHTNING_DEBUG", "1")
    with pytest.raises(Exception, match="the folder x is missing"):
        main(broken)


def test_error_in_a_constructor_is_a_paragraph_and_leaves_no_folder(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", str(toy_yaml), "--data.batch_size", "0"])
    assert exit_.value.code == 1
    assert "error: batch_size is 0\n  What to do: give at least 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_nothing_where_a_class_needs_a_number_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("none.yaml").write_text("model: {init_args: {kl_weight: {init_args: {beta: null}}}}")
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", "vae", "--config", "none.yaml"])
    assert end.value.code == 1
    problem = (
        "error: The model or the data cannot be built: '<' not supported between instances of 'NoneType'"
    )
    assert f"{problem} and 'int'\n  What to do: correct" in capsys.readouterr().err


def test_other_errors_keep_their_traceback(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="the toy was told to fail") as raised:
        main(["fit", "--config", str(toy_yaml), "--model.fail_at_step", "0"])
    assert user_error_text(RuntimeError("x")) is None
    *_, last = "".join(traceback.format_exception(raised.value)).splitlines()
    assert last == request()


def test_a_full_gpu_is_a_paragraph_that_says_what_to_lower(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fill(self: ToyModule, batch: object, batch_idx: int) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of "
            "which 1.12 GiB is free. Of the allocated memory 13.90 GiB is allocated by PyTorch."
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ToyModule, "training_step", fill)
    fit = ["fit", "--config", str(toy_yaml), *QUIET]
    with pytest.raises(SystemExit) as end:
        main(fit)
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert "error: The GPU's memory is full: 2.00 GiB more were needed, and GPU 0 has 15.77 GiB in" in told
    for option in ("data.batch_size", "trainer.accumulate_grad_batches", "trainer.precision bf16-mixed"):
        assert f"--{option}" in told
    assert "Traceback" not in told
    with pytest.raises(torch.OutOfMemoryError):
        main([*fit, "--debug"])


@pytest.mark.parametrize(
    ("cuda", "bf16", "expected"),
    [(False, False, "32-true"), (True, True, "bf16-mixed"), (True, False, "16-mixed")],
)
def test_auto_precision(monkeypatch: pytest.MonkeyPatch, cuda: bool, bf16: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
    assert auto_precision() == expected


def test_auto_precision_reaches_the_trainer(start, toy_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_modules.cli.trainer.auto_precision", lambda: "bf16-true")
    assert start("fit", "--config", toy_yaml).trainer.precision == "bf16-true"


def test_trainer_default_root_dir_is_refused(toy_yaml: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(toy_yaml), "--trainer.default_root_dir", "elsewhere"])
    error = capsys.readouterr().err
    assert "trainer.default_root_dir is 'elsewhere'" in error
    assert "runs_dir, experiment and run_id" in error


def test_checkpoints_and_loggers_can_be_switched_off(start, toy_yaml: Path) -> None:
    off = ["--trainer.enable_checkpointing", "false", "--trainer.logger", "false"]
    trainer = start("fit", "--config", toy_yaml, *off).trainer
    assert trainer.checkpoint_callbacks == []
    assert trainer.loggers == []


def test_a_logger_that_is_named_comes_beside_those_of_the_run(start, toy_yaml: Path) -> None:
    third = ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "mine"]
    loggers = start("fit", "--config", toy_yaml, *third).trainer.loggers
    assert [type(logger).__name__ for logger in loggers] == ["RunCSVLogger", "CSVLogger"]
    assert loggers[1].save_dir == "mine"


EXPERIMENTS = Path(__file__).parents[3] / "experiments"
COMPLETE = sorted(EXPERIMENTS.glob("*.yaml"))
SOUND = [path for path in COMPLETE if "MaestroDataModule" in path.read_text()]
OVERLAYS = sorted([*EXPERIMENTS.glob("data/*.yaml"), *EXPERIMENTS.glob("hardware/*.yaml")])
# what the overlays ask for beyond this machine
LOCAL = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.strategy", "auto"]


@pytest.mark.parametrize(
    ("experiment", "change"),
    # overlays of data and hardware know no model: one experiment does for them, and at times another
    [
        *((experiment, None) for experiment in COMPLETE),
        *itertools.product(SOUND[:1], OVERLAYS),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in itertools.product(SOUND[1:2], OVERLAYS)),
    ],
    ids=lambda path: path.stem if path else "alone",
)
def test_shipped_experiments_and_overlays(start, experiment: Path, change: Path | None) -> None:
    with_overlay = ["--config", change] if change else []
    cli = start("fit", "--config", experiment, *with_overlay, *LOCAL)
    assert experiment not in SOUND or cli.model.sample_rate == cli.datamodule.sample_rate
    assert cli.run.experiment == experiment.stem
    cli.model.on_save_checkpoint({})  # every role describes itself


SOME_SOUND = [
    pytest.param(path, marks=() if path.stem == "vae" else pytest.mark.slow, id=path.stem) for path in SOUND
]


@pytest.mark.parametrize("experiment", SOME_SOUND)
def test_stereo_takes_one_option(start, experiment: Path) -> None:
    model = start("fit", "--config", experiment, "--data.channels", "2", *LOCAL).model
    assert model.channels == 2
    model.on_save_checkpoint({})
    if can_reconstruct(model):
        assert model.reconstruct(torch.zeros(1, 2, 1000)).shape == (1, 2, 1000)


@pytest.mark.parametrize("experiment", SOME_SOUND)
def test_another_clip_length_takes_one_option(start, experiment: Path) -> None:
    model = start("fit", "--config", experiment, "--data.clip_samples", "65536", *LOCAL).model
    assert model.clip_samples == 65_536


@pytest.mark.parametrize("levels", [3, 5])
def test_another_number_of_bands_takes_one_option(start, levels: int) -> None:
    option = ["--model.encoder.levels", str(levels)]
    model = start("fit", "--config", EXPERIMENTS / "vae.yaml", *option, *LOCAL).model
    assert model.encoder.packets.num_bands == model.decoder.packets.num_bands == 2**levels
    assert model.encoder.hop_samples == 256


def nesting(value: object) -> int:
    """Levels of mappings inside mappings below a value."""
    if isinstance(value, list):
        return max(map(nesting, value), default=0)
    if not isinstance(value, dict):
        return 0
    return 1 + max(map(nesting, value.values()), default=0)


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_experiments_are_flat(path: Path) -> None:
    # the document, and four levels in it: model, init_args, a part, its init_args
    assert nesting(yaml.safe_load(path.read_text())) <= 5
    assert len(path.read_text().splitlines()) <= (80 if path.name == "vae.yaml" else 90)


ABLATIONS = sorted(EXPERIMENTS.glob("ablations/*.yaml"))
SEVERAL_PARTS = ("adversarial_decoder", "vamp_prior", "wgan_gp")


def parts(value: object) -> Iterator[tuple[str, set[str]]]:
    """Class path and arguments of each part below a value."""
    if isinstance(value, dict):
        if "class_path" in value:
            yield value["class_path"], set(value.get("init_args", {}))
        for each in value.values():
            yield from parts(each)


@pytest.mark.parametrize("change", ABLATIONS, ids=lambda path: path.stem)
def test_the_parts_of_ablations_have_the_arguments_that_are_given(change: Path) -> None:
    for class_path, arguments in parts(yaml.safe_load(change.read_text())):
        room, _, name = class_path.rpartition(".")
        assert arguments <= set(inspect.signature(getattr(import_module(room), name)).parameters), class_path


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(path, marks=() if path.stem in SEVERAL_PARTS else pytest.mark.slow, id=path.stem)
        for path in ABLATIONS
    ],
)
def test_shipped_ablations_start_with_the_command_in_their_header(start, change: Path) -> None:
    purpose, command = change.read_text().splitlines()[:2]
    assert purpose.startswith("# ")
    _, _, arguments = command.partition("lightning ")
    assert str(change.relative_to(EXPERIMENTS.parent)) in arguments
    absolute = [word.replace("experiments/", f"{EXPERIMENTS}/", 1) for word in arguments.split()]
    cli = start(*absolute, *LOCAL)
    cli.model.on_save_checkpoint({})


@pytest.mark.parametrize("change", OVERLAYS, ids=lambda path: path.stem)
def test_overlays_say_what_they_are_for(change: Path) -> None:
    header = list(itertools.takewhile(lambda line: line.startswith("#"), change.read_text().splitlines()))
    assert len(header[0]) > 20
    assert f"--config {change.relative_to(EXPERIMENTS.parent)}" in "\n".join(header[1:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# f\u00fcr\n".encode("latin-1"), "toy.yaml cannot be read ('utf-8' codec"),
        (b"experiment: ${oc.env:NO_SUCH_VARIABLE}\n", "Environment variable 'NO_SUCH_VARIABLE' not found"),
        (b"experiment: ${data.nothing}\n", "data.nothing')"),
        (b"experiment: [\n", "is no YAML"),
    ],
)
def test_a_config_that_cannot_be_read_is_one_sentence(content, message, toy_yaml, capsys):
    toy_yaml.write_bytes(toy_yaml.read_bytes() + content)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(toy_yaml)])
    assert end.value.code == 1
    assert message in capsys.readouterr().err


QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
TIMER = "--trainer.callbacks+=lightning.pytorch.callbacks.Timer"
AVERAGING = (
    "--trainer.callbacks+={class_path: lightning.pytorch.callbacks.StochasticWeightAveraging, "
    "init_args: {swa_lrs: 0.01}}"
)
RATES = "--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor"


@pytest.mark.parametrize(
    "options",
    [["--trainer.overfit_batches=1", TIMER, AVERAGING], ["--trainer.logger=false", RATES]],
    ids=["overfit, timer, averaging", "no logger"],
)
def test_standard_checks_of_lightning_users_train(options, toy_yaml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", *options, *QUIET])
    assert (tmp_path / "runs/toy/one/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.accelerator=gpu"], "Lightning cannot work with these options: No supported gpu"),
        (
            [AVERAGING.replace("0.01", "-0.01")],
            "error: Lightning cannot work with these options: The `swa_lrs` should a positive float, or a "
            "list of positive floats\n  What to do: change or leave out what it names",
        ),
        (
            [
                "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping",
                "--trainer.callbacks.monitor=val/loss",
            ],
            "error: EarlyStopping watches val/loss, which nothing logs\n"
            "  What to do: watch one of `train/loss`, `val/log_mel_distance`\n",
        ),
        (["--trainer.devices=10000"], "trainer.devices is 10000, and each would be a process"),
        (
            ["--model.optimizer=torch.optim.AdamW", "--model.optimizer.lr=-1"],
            "error: AdamW(lr=-1.0) cannot be used here: Invalid learning rate: -1.0\n  What to do: change or",
        ),
        (
            ["--model.optimizer=torch.optim.AdamW", "--model.optimizer.differentiable=true"],
            "error: AdamW(differentiable=True) cannot be used here: a leaf Variable that requires grad",
        ),
        (
            ["--checkpoint.monitor=val/log_mel_distanc"],
            "it gave val/log_mel_distance\n  What to do: give --checkpoint.monitor val/log_mel_distance",
        ),
    ],
)
def test_options_that_cannot_be_are_one_sentence(options, message, toy_yaml, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(toy_yaml), "--run_id", "one", *options, *QUIET])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert message in said
    assert ("speaks of 'log_mel_distanc'; did you mean 'log_mel_distance'?" in said) == ("monitor" in message)
    if "Lightning cannot" in message:
        assert not (tmp_path / "runs/toy").exists()


def test_the_last_words_of_a_run_hold(toy_yaml, tmp_path, monkeypatch, capsys):
    """Also beside a second ModelCheckpoint, without any validation, and without the optimiser's state."""
    monkeypatch.chdir(tmp_path)
    fit = ["fit", "--config", str(toy_yaml), *QUIET]
    second = "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint"
    main([*fit, "--run_id", "one", second])
    assert (
        "Test:      lightning test --ckpt_path runs/toy/one/checkpoints/best.ckpt" in capsys.readouterr().out
    )
    main([*fit, "--run_id", "two", "--trainer.max_steps=2", "--trainer.val_check_interval=4"])
    said = capsys.readouterr().out
    assert "Best:      none yet: no validation gave val/log_mel_distance" in said
    assert "Test:      lightning test --ckpt_path runs/toy/two/checkpoints/last.ckpt" in said
    main([*fit, "--run_id", "three", "--checkpoint.save_weights_only=true"])
    said = capsys.readouterr().out
    assert "Continue:" not in said and "Test:" in said
    with pytest.raises(SystemExit):
        main(["fit", "--ckpt_path", "runs/toy/three/checkpoints/last.ckpt", *QUIET])
    said = capsys.readouterr().err
    assert said.endswith(
        "last.ckpt holds no optimiser state and no position of schedules: training cannot go on from it\n"
        "  What to do: give a checkpoint that was not written with save_weights_only\n"
    )


@pytest.mark.slow
def test_two_tests_at_once_both_succeed(toy_yaml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", *QUIET])
    command = [sys.executable, "-m", "lightning_modules", "test", "--ckpt_path", "runs/toy/one"]
    root = Path(__file__).parents[3]
    paths = os.pathsep.join([str(root), str(root / "tests/toys")])
    started = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}) for _ in range(2)]
    assert [process.wait(300) for process in started] == [0, 0]
    folders = sorted(path.name for path in Path("runs/toy/one").glob("test*"))
    assert folders == ["test", "test-2"]
    assert all((Path("runs/toy/one") / name / "config.yaml").is_file() for name in folders)
