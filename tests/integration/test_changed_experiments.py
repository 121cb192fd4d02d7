"""The shipped experiments go on with options that were changed, as the README's commands do."""

from pathlib import Path

import pytest
import torch

from lightning_modules.cli import main
from lightning_modules.runs.metrics import read_rows
from lightning_modules.schedules.learning_rate import WarmupCosine

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
LEARNING_RATE_MONITOR = "lightning.pytorch.callbacks.LearningRateMonitor"
MONITOR = f"[{{class_path: {LEARNING_RATE_MONITOR}, init_args: {{logging_interval: step}}}}]"
FAST = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.limit_val_batches=0"]
START = ["--trainer.max_steps=4", f"--trainer.callbacks={MONITOR}", "--checkpoint.monitor=null"]
LOG = ["--trainer.log_every_n_steps=1", "--trainer.val_check_interval=2", "--run_id=one"]


def rates(run: Path) -> list[dict[str, float]]:
    """Learning rates of each step by optimiser, of the last time that the run was started."""
    file = max(run.glob("metrics/version_*/metrics.csv"))
    rows = [{k: float(v) for k, v in row.items() if k.startswith("lr-") and v} for row in read_rows(file)[1]]
    return [row for row in rows if row]


def cosine(base: float, total: int, steps: range, **options: float) -> list[float]:
    schedule = WarmupCosine(torch.optim.SGD([torch.zeros(1)], 1.0), total, **options)
    return [base * schedule.factor(step) for step in steps]


@pytest.fixture(params=["vae", "wavegan"])
def run(
    request: pytest.FixtureRequest,
    tiny_run_data: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A run of four steps of its schedule of four."""
    monkeypatch.chdir(tmp_path)
    config = str(EXPERIMENTS / f"{request.param}.yaml")
    small = ["--data.clip_samples=16384"] if request.param == "wavegan" else []
    main(["fit", "--config", config, *tiny_run_data, *small, *FAST, *START, *LOG])
    return Path("runs", request.param, "one")


def go_on(run: Path, *options: str) -> dict[str, object]:
    main(["fit", "--ckpt_path", str(run / "checkpoints/last.ckpt"), *options])
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)


def test_more_steps_follow_the_schedule_for_more_steps(run: Path) -> None:
    checkpoint = go_on(run, "--trainer.max_steps=8")
    options = {"vae": {"warmup_fraction": 0.05}, "wavegan": {"warmup_fraction": 0.02, "final_fraction": 0.1}}
    bases = {"vae": [0.003], "wavegan": [0.001, 0.0005]}[run.parent.name]
    found = rates(run)
    assert checkpoint["global_step"] == 8 or run.parent.name == "wavegan"
    for number, base in enumerate(bases):
        wanted = cosine(base, 8, range(4, 8), **options[run.parent.name])
        seen = list(dict.fromkeys(row[sorted(row)[number]] for row in found)) if len(bases) == 1 else None
        values = {rate for row in found for rate in row.values()}
        assert all(min(abs(value - rate) for value in values) < 1e-9 for rate in wanted), (wanted, found)
        assert seen is None or seen == pytest.approx(wanted)


def test_optimisers_take_other_options(run: Path) -> None:
    names = {"vae": ["optimizer"], "wavegan": ["generator_optimizer", "critic_optimizer"]}[run.parent.name]
    options = [f"--model.{name}.{option}" for name in names for option in ("lr=0.0123", "weight_decay=0.5")]
    checkpoint = go_on(run, "--trainer.max_steps=8", *options)
    for state in checkpoint["optimizer_states"]:  # type: ignore[attr-defined]
        (group,) = state["param_groups"]
        assert group["initial_lr"] == 0.0123 and group["weight_decay"] == 0.5
        assert all(moments["step"] >= 8 for moments in state["state"].values()), "moments go on"


def test_schedules_may_be_left_out(run: Path) -> None:
    names = {"vae": ["lr_scheduler"], "wavegan": ["generator_lr_scheduler", "critic_lr_scheduler"]}
    off = [f"--model.{name}=null" for name in names[run.parent.name]]
    checkpoint = go_on(run, "--trainer.max_steps=8", *off)
    assert checkpoint["lr_schedulers"] == []
    bases = {"vae": [0.003], "wavegan": [0.001, 0.0005]}[run.parent.name]
    found = [state["param_groups"][0]["lr"] for state in checkpoint["optimizer_states"]]  # type: ignore[attr-defined]
    assert found == bases
