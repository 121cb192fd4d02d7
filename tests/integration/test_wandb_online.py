"""What a run logs arrives at the backend, here a stand-in on loopback; a run that is continued is one run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
import yaml
from wandb_server import API_KEY, StoredRun, WandbServer, serving

from lightning_modules.cli import main

pytestmark = pytest.mark.slow

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
EXPERIMENT = """
experiment: toy
model: {class_path: toy_experiment.ToyModule, init_args: {network: {class_path: toy_experiment.Scale}}}
data: {class_path: toy_experiment.ToyDataModule}
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  precision: ${auto_precision:}
  callbacks:
    - class_path: lightning_modules.callbacks.audio_logger.AudioLogger
      init_args: {every_n_validations: 2, num_clips: 1, num_generated: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("online")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[WandbServer]:
    """The backend, and what it holds after a run of two epochs and its continuation to four."""
    (folder / "toy.yaml").write_text(EXPERIMENT)
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in {
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": API_KEY,
            "WANDB_DATA_DIR": str(folder / "data"),
            "WANDB_MODE": "",
        }.items():
            patch.setenv(name, value)
        wandb.teardown()  # its settings are those of the tests before
        options = ["--wandb.name=first run", "--wandb.tags=[tiny, toy]", "--wandb.group=studies"]
        options += ["--wandb.job_type=smoke", "--wandb.log_checkpoints=true"]
        main(
            ["fit", "--config=toy.yaml", "--run_id=one", "--model.val_log_mel=[3, 1, 2, 4]", *options, *QUIET]
        )
        first = len(server.runs["one"].history)
        main(["fit", "--ckpt_path=runs/toy/one/checkpoints/last.ckpt", "--trainer.max_epochs=4", *QUIET])
        main(["test", "--ckpt_path=runs/toy/one/checkpoints/best.ckpt", *QUIET])
        server.first_rows = first
        yield server
        wandb.teardown()


@pytest.fixture
def run(server: WandbServer) -> StoredRun:
    return server.runs["one"]


def contains(whole: object, part: object) -> bool:
    """Whether nested dictionaries have all that others have; linked options are in one of them only."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(contains(whole[name], value) for name, value in part.items())
    return whole == part


def test_identity(run: StoredRun) -> None:
    fields = run.fields
    assert (fields["displayName"], fields["groupName"], fields["jobType"]) == (
        "first run",
        "studies",
        "smoke",
    )
    assert fields["tags"] == ["tiny", "toy"]
    assert fields["project"] == "maestro-lightning"


def test_the_whole_resolved_config_with_data_and_code(run: StoredRun, folder: Path) -> None:
    saved = yaml.safe_load((folder / "runs/toy/one/config-resume-1.yaml").read_text())
    assert run.config["trainer"]["precision"] == "32-true", "interpolations are resolved"
    assert contains(run.config, saved)
    assert run.config["data_identity"] == {"release": "mini", "performances": 16}
    assert run.config["code"].keys() >= {"version", "commit"}
    assert len(run.config["code"]["commit"]) == 40


def test_scalars_are_those_of_the_csv_file_in_order(run: StoredRun, folder: Path) -> None:
    logged = [(row["trainer/global_step"], row["train/loss"]) for row in run.history if "train/loss" in row]
    assert [step for step, _ in logged] == list(range(16)), "no step is missing, doubled or out of order"
    texts = [(folder / f"runs/toy/one/metrics/version_{n}/metrics.csv").read_text() for n in (0, 1)]
    for _, loss in logged:
        assert any(f"{loss}" in text for text in texts)
    validated = [row["val/log_mel_distance"] for row in run.history if "val/log_mel_distance" in row]
    assert validated == [3, 1, 2, 4]


def test_the_summary_shows_the_best_not_the_last(run: StoredRun) -> None:
    assert run.summary["val/log_mel_distance"] == {"min": 1}
    losses = [row["train/loss"] for row in run.history if "train/loss" in row]
    assert run.summary["train/loss"] == {"min": min(losses)}
    assert run.summary["epoch"] == 3, "neither better nor worse: the last value"


def test_sound_pictures_and_a_table_of_both_arrive(run: StoredRun, folder: Path, server: WandbServer) -> None:
    wav = (folder / "runs/toy/one/samples/step_000004/clip_0_reconstruction.wav").read_bytes()
    png = (folder / "runs/toy/one/samples/step_000004/clip_0.png").read_bytes()
    assert wav in run.files.values()
    assert png in run.files.values()
    row = next(row for row in run.history if "audio/reconstruction" in row)
    assert row["audio/reconstruction"]["captions"] == ["clip_0_reconstruction"]
    tables = [version for version in server.artifacts.values() if version.name == "run-one-samples"]
    content = json.loads(tables[0].files["samples.table.json"])
    assert content["columns"] == ["step", "clip", "kind", "peak", "audio", "spectrogram"]
    assert [(row[1], row[2]) for row in content["data"]] == [
        ("clip_0", "original"),
        ("clip_0", "reconstruction"),
        ("sample_0", "sample"),
        ("sample_1", "sample"),
    ]
    assert wav in tables[0].files.values()


def test_best_and_last_checkpoints_are_versions_with_aliases(server: WandbServer, folder: Path) -> None:
    versions = [version for version in server.artifacts.values() if version.name == "model-one"]
    assert all(version.committed for version in versions)
    aliases = [set(version.aliases) - {"latest"} for version in versions]
    assert aliases == [{"best", "step-4"}, {"best", "step-8"}, {"last", "step-8"}, {"last", "step-16"}]
    best = (folder / "runs/toy/one/checkpoints/best.ckpt").read_bytes()
    assert versions[1].files["best.ckpt"] == best
    assert not list((folder / "runs/toy/one/checkpoints").glob(".*")), "nothing is left behind"


def test_the_continued_run_is_the_same_run(server: WandbServer, run: StoredRun) -> None:
    assert run.starts == 2
    assert run.exit_code == 0
    steps = [row["_step"] for row in run.history]
    assert steps == sorted(set(steps)), "W&B's own steps never go backwards"
    assert server.first_rows < len(run.history)


def test_the_test_is_a_run_of_its_own_in_the_group(server: WandbServer) -> None:
    tested = server.runs["one-test"]
    assert (tested.fields["groupName"], tested.fields["displayName"]) == ("studies", "first run-test")
    assert {row["test/log_mel_distance"] for row in tested.history if "test/log_mel_distance" in row}
    assert set(server.runs) == {"one", "one-test"}, "nothing leaked into another run"
