"""A run that is stopped and continued is the run that was never stopped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_modules import load_module
from lightning_modules.cli import main
from lightning_modules.runs.metrics import read_rows

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]


@pytest.fixture(autouse=True)
def work_in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(config: Path, run_id: str, *options: str) -> Path:
    main(["fit", "--config", str(config), "--run_id", run_id, *QUIET, *options])
    return Path("runs/toy") / run_id


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_fit_fills_a_run_folder(toy_yaml: Path) -> None:
    folder = fit(toy_yaml, "one")
    assert files_in(folder) == [
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "metrics/version_0/metrics.csv",
    ]
    config = (folder / "config.yaml").read_text()
    assert "precision: 32-true" in config, "interpolations are resolved"
    assert "experiment: toy\n" in config
    assert "run_id: null" in config, "the saved options start a new run, not this one again"
    assert load_module(folder / "checkpoints" / "best.ckpt").sample_rate == 8000


def test_the_name_of_the_file_is_the_default_experiment(toy_yaml: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "wavelet.yaml"
    renamed.write_text(toy_yaml.read_text().replace("experiment: toy", ""))
    main(["fit", "--config", str(renamed), "--run_id", "one", "--trainer.max_epochs", "1", *QUIET])
    assert (tmp_path / "runs" / "wavelet" / "one" / "config.yaml").is_file()


def test_second_run_of_the_same_id_is_refused(toy_yaml: Path, capsys: pytest.CaptureFixture) -> None:
    folder = fit(toy_yaml, "one", "--trainer.max_epochs", "1")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        fit(toy_yaml, "one")
    assert "runs/toy/one exists already, and a run never overwrites another" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_continued_run_equals_the_uninterrupted_one(toy_yaml: Path) -> None:
    every_step = ["--trainer.log_every_n_steps", "1"]
    whole = fit(toy_yaml, "whole", "--trainer.max_epochs", "4", *every_step)
    part = fit(toy_yaml, "part", *every_step)
    kept = {name: (part / name).read_bytes() for name in ("config.yaml", "metrics/version_0/metrics.csv")}
    main(["fit", "--ckpt_path", str(part / "checkpoints/last.ckpt"), "--trainer.max_epochs", "4", *QUIET])
    last = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (whole, part)]
    assert last[0]["global_step"] == last[1]["global_step"] == 16
    assert torch.equal(last[0]["state_dict"]["network.weight"], last[1]["state_dict"]["network.weight"])
    assert all((part / name).read_bytes() == content for name, content in kept.items())
    assert {"config-resume-1.yaml", "metrics/version_1/metrics.csv"} <= set(files_in(part))
    assert "max_epochs: 4" in (part / "config-resume-1.yaml").read_text()
    rows = [
        [
            row
            for version in versions
            for row in read_rows(folder / f"metrics/version_{version}/metrics.csv")[1]
        ]
        for folder, versions in ((whole, [0]), (part, [0, 1]))
    ]
    assert rows[0] == rows[1], "the same figures under the same steps"


def test_last_is_the_newest_run_of_the_experiment(toy_yaml: Path) -> None:
    fit(toy_yaml, "older")
    newer = fit(toy_yaml, "newer")
    main(["fit", "--config", str(toy_yaml), "--ckpt_path", "last", "--trainer.max_epochs", "3", *QUIET])
    assert (newer / "config-resume-1.yaml").is_file()
    assert sorted(path.name for path in Path("runs/toy").iterdir()) == ["newer", "older"]


def test_moved_run_remembers_its_best(toy_yaml: Path) -> None:
    figures = ["--model.val_log_mel", "[1.0, 2.0, 3.0, 0.5]"]
    folder = fit(toy_yaml, "one", *figures)
    moved = folder.rename(folder.parent / "moved")
    best = moved / "checkpoints/best.ckpt"
    before = best.read_bytes()
    resume = ["fit", "--ckpt_path", str(moved / "checkpoints/last.ckpt"), *QUIET]
    main([*resume, "--trainer.max_epochs", "3"])
    assert best.read_bytes() == before, "3.0 is no better than 1.0"
    main([*resume, "--trainer.max_epochs", "4"])
    assert torch.load(best, weights_only=True)["global_step"] == 16
    assert not folder.exists()
    assert files_in(moved / "checkpoints") == ["best.ckpt", "last.ckpt"]


def test_a_copied_checkpoint_starts_a_new_run(toy_yaml: Path, tmp_path: Path) -> None:
    folder = fit(toy_yaml, "one", "--model.val_log_mel", "[1.0, 2.0, 3.0]")
    copied = str(shutil.copy(folder / "checkpoints/last.ckpt", tmp_path / "copied.ckpt"))
    other = fit(
        toy_yaml,
        "two",
        "--ckpt_path",
        copied,
        "--trainer.max_epochs",
        "3",
        "--model.val_log_mel",
        "[9, 9, 9]",
    )
    assert torch.load(other / "checkpoints/best.ckpt", weights_only=True)["global_step"] == 12


def test_test_writes_below_the_run_and_never_twice_into_one_folder(
    toy_yaml: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = fit(toy_yaml, "one")
    best = str(folder / "checkpoints/best.ckpt")
    main(["test", "--ckpt_path", best, *QUIET])
    main(["test", "--config", str(toy_yaml), "--ckpt_path", "best", *QUIET])
    main(["validate", "--ckpt_path", best, *QUIET])
    for name in ("test", "test-2", "validate"):
        assert files_in(folder / name) == ["config.yaml", "metrics/version_0/metrics.csv"]
    assert "test/log_mel_distance" in (folder / "test/metrics/version_0/metrics.csv").read_text()


def test_predict_runs_on_a_checkpoint(toy_yaml: Path) -> None:
    folder = fit(toy_yaml, "one", "--trainer.max_epochs", "1")
    main(["predict", "--ckpt_path", str(folder / "checkpoints/best.ckpt"), *QUIET])
    assert files_in(folder / "predict") == ["config.yaml"]


def test_callbacks_write_into_the_run_folder(toy_yaml: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "trainer:\n  callbacks:\n    - class_path: lightning_modules.callbacks.audio_logger.AudioLogger\n"
        "      init_args: {every_n_validations: 2, num_clips: 1, num_generated: 0}\n"
    )
    folder = fit(toy_yaml, "one", "--config", str(overlay))
    assert (folder / "samples/step_000008/clip_0_reconstruction.wav").is_file()


def test_continued_run_continues_its_wandb_run(toy_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = fit(toy_yaml, "one", "--trainer.max_epochs", "1")
    main(["fit", "--ckpt_path", str(folder / "checkpoints/last.ckpt"), "--trainer.max_epochs", "2", *QUIET])
    logs = list((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert [log.name for log in logs] == ["run-one.wandb", "run-one.wandb"]


@pytest.mark.slow
def test_python_m_is_the_same_program_and_two_processes_share_one_folder(toy_yaml: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "toys")}
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.num_clips", "32"]
    command = [sys.executable, "-m", "lightning_modules", "fit", "--config", str(toy_yaml), *two, *QUIET]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr
    (folder,) = Path("runs/toy").iterdir()
    assert files_in(folder) == [
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "metrics/version_0/metrics.csv",
    ]
    assert result.stdout.count("Best:") == 1


def snapshot(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.sample_rate", "4000"], "sample_rate is 8000, but that of the model"),
        ([], None),  # nothing left to train
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (["--model", "toy_experiment.OtherModule"], "whose class is toy_experiment.ToyModule"),
                (["--model.optimizer", "torch.optim.Adam"], "another optimiser"),
                (["--trainer.fast_dev_run", "true", "--trainer.max_epochs", "9"], "leave out one of them"),
            )
        ),
    ],
)
def test_a_start_that_trains_nothing_changes_nothing(
    toy_yaml: Path, options: list[str], message: str | None, capsys: pytest.CaptureFixture
) -> None:
    yaml = toy_yaml.read_text().replace(
        "    network:", "    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.5}}\n    network:"
    )
    toy_yaml.write_text(yaml)
    folder = fit(toy_yaml, "one")
    before = snapshot(folder)
    command = ["fit", "--ckpt_path", str(folder / "checkpoints/last.ckpt"), *QUIET, *options]
    if message is None:
        main(command)
    else:
        with pytest.raises(SystemExit):
            main(command)
        assert message in capsys.readouterr().err
    assert snapshot(folder) == before


def test_scores_are_made_under_the_options_of_the_checkpoint(toy_yaml: Path) -> None:
    """And not under those that the run was continued with later, which would be another model."""
    folder = fit(toy_yaml, "one", "--model.val_log_mel", "[1.0, 2.0, 3.0]", "--data.batch_size", "4")
    resume = [
        "fit",
        "--ckpt_path",
        str(folder / "checkpoints/last.ckpt"),
        "--trainer.max_epochs",
        "3",
        *QUIET,
    ]
    main([*resume, "--data.batch_size", "8"])
    for name, config in (("best", "config.yaml"), ("last", "config-resume-1.yaml")):
        checkpoint = folder / "checkpoints" / f"{name}.ckpt"
        assert torch.load(checkpoint, weights_only=True)["run_config"] == config
        main(["test", "--ckpt_path", str(checkpoint), *QUIET])
    used = [(folder / test / "config.yaml").read_text() for test in ("test", "test-2")]
    assert ["batch_size: 4" in text for text in used] == [True, False]


def test_the_printed_command_trains_the_longer_schedule(toy_yaml: Path, monkeypatch) -> None:
    """`--trainer.max_steps`: what followed it in the experiment file follows it on continuing."""
    toy_yaml.write_text(
        toy_yaml.read_text()
        .replace("  max_epochs: 2", "  max_epochs: -1\n  max_steps: 4")
        .replace("    network:", "    fail_at_step: ${trainer.max_steps}\n    network:")
    )
    folder = fit(toy_yaml, "one")
    assert "${trainer.max_steps}" in (folder / "config.yaml").read_text()
    main(["fit", "--ckpt_path", str(folder / "checkpoints/last.ckpt"), "--trainer.max_steps", "8", *QUIET])
    content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert content["generative_module"]["module"]["init_args"]["fail_at_step"] == 8


def test_a_second_process_leaves_the_run_alone(toy_yaml: Path, capsys: pytest.CaptureFixture) -> None:
    from lightning_modules.runs.lock import training_alone

    folder = fit(toy_yaml, "one")
    before = snapshot(folder)
    with training_alone(folder), pytest.raises(SystemExit):
        main(["fit", "--run_id", "one", "--ckpt_path", "auto", "--config", str(toy_yaml), *QUIET])
    assert f"is being trained by process {os.getpid()} on " in capsys.readouterr().err
    assert snapshot(folder) == before
