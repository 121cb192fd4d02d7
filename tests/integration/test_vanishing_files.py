"""Files that go away under a run: it ends with a sentence, and not by a signal or in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_experiment import ToyModule

from lightning_modules.cli import main

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
SHRINK = """
import os, sys
from pathlib import Path
import tiny_training
from lightning_modules.cli import user_error_text

source, cache = sys.argv[1:]
for workers in (0, 1):
    data = tiny_training.make_data(source, cache, workers, clips_per_epoch=10_000)
    data.prepare_data()
    data.setup("fit")
    try:
        for batch in data.train_dataloader():
            for path in Path(cache).rglob("*.pcm"):
                os.truncate(path, 0)
    except Exception as error:
        print(user_error_text(error))
"""


@pytest.mark.slow
def test_a_cache_that_shrinks(tiny_release: Path, tmp_path: Path) -> None:
    """Reading beyond the end of a file that is mapped into memory would kill the process."""
    here = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{here / 'toys'}:{here.parent}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SHRINK, str(tiny_release), str(tmp_path / "cache")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 4
    for problem, remedy in (lines[:2], lines[2:]):
        assert problem.endswith(".wav.pcm has become shorter while it is in use")
        assert remedy.startswith("  What to do: prepare the cache again")


@pytest.mark.parametrize("step", [3, 7])
def test_a_run_folder_that_is_removed(
    step: int, toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """In the middle of an epoch, and after the last checkpoint."""
    monkeypatch.chdir(tmp_path)
    training_step = ToyModule.training_step

    def remove(self: ToyModule, batch: object, batch_idx: int) -> object:
        if self.global_step == step:
            shutil.rmtree("runs/toy/one")
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(ToyModule, "training_step", remove)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(toy_yaml), "--run_id", "one", *QUIET])
    assert end.value.code == 1
    assert "runs/toy/one" in capsys.readouterr().err
