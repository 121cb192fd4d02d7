"""W&B without prompts and crashes, and a CSV file beside it."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger

from lightning_modules.cli import main
from lightning_modules.errors import OptionError
from lightning_modules.loggers import wandb_logger
from lightning_modules.loggers.run_loggers import run_loggers, wandb_mode
from lightning_modules.loggers.wandb_logger import Monitor, RunWandbLogger, WandbOptions
from lightning_modules.runs.folder import Run

MONITOR = Monitor("val/x", "min")


def make_run(tmp_path: Path, verb: str = "fit") -> Run:
    folder = tmp_path / "vae" / "run1"
    root = folder if verb == "fit" else folder / verb
    root.mkdir(parents=True)
    return Run(folder, root, verb, resumed=False)


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("configured", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")]
)
def test_wandb_mode_is_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, configured: str, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", configured)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert wandb_mode() == mode


@pytest.mark.usefixtures("no_account")
def test_online_only_with_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a prompt"))
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "")
    assert wandb_mode() == "offline"
    host = wandb.setup().settings.base_url.removeprefix("https://")
    (tmp_path / "netrc").write_text(f"machine {host} login user password {'b' * 40}\n")
    assert wandb_mode() == "online"
    (tmp_path / "netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert wandb_mode() == "online"


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "[default]\nbase_url = http://evil.example\nentity = me\n",
            r"which sets base_url\n.*WANDB_BASE_URL",
        ),
        ("[default]\nhttps_proxy = http://evil.example\nprogram = x.py", "which sets https_proxy, program"),
        ("[DEFAULT]\nbase_url = http://evil.example\n[default]\n", "which sets base_url"),
        ("base_url\n", "which is damaged"),
        ("[default]\nentity = me\nproject = piano\nmode = offline\n", None),
    ],
)
def test_a_file_of_the_working_folder_does_not_lead_wandb(
    folder: str, settings: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that lies beside a checkpoint that was fetched; W&B would send the key wherever it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "online")
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "settings").write_text(settings)
    with nullcontext() if message is None else pytest.raises(OptionError, match=message):
        assert wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode() == "disabled"


def test_wandb_obeys_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, W&B has learnt better, and the refusal can go."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb/settings").write_text("[default]\nbase_url = http://evil.example\n")
    settings = wandb.Settings()
    settings.update_from_system_settings()
    assert settings.base_url == "http://evil.example"


def test_disabled_wandb_leaves_the_csv_file(tmp_path: Path) -> None:
    (only,) = run_loggers(make_run(tmp_path), {}, WandbOptions(), MONITOR)
    assert isinstance(only, CSVLogger)
    only.log_metrics({"val/x": 0.5}, step=3)
    only.save()
    text = (tmp_path / "vae/run1/metrics/version_0/metrics.csv").read_text()
    assert text == "step,val/x\n3,0.5\n"


def test_offline_run_lies_in_the_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger, _ = run_loggers(
        make_run(tmp_path), {"model": {"beta": 0.3}}, WandbOptions(tags=["first"]), MONITOR
    )
    assert isinstance(logger, RunWandbLogger)
    started = logger.experiment
    assert (started.id, started.group, started.job_type) == ("run1", "vae", "fit")
    assert started.tags == ("first",)
    assert started.config["model"] == {"beta": 0.3}
    logger.log_metrics({"val/x": 1.0}, step=1)
    logger.finalize("success")
    assert logger.where is not None
    assert Path(logger.where).parent == tmp_path / "vae" / "run1" / "wandb"
    assert list(Path(logger.where).glob("run-run1.wandb"))
    assert wandb.run is None, "the next run in this process must be another"


def test_other_verbs_get_a_run_of_their_own_in_the_group(tmp_path: Path) -> None:
    logger = RunWandbLogger(make_run(tmp_path, "test"), "offline", {}, WandbOptions(), MONITOR)
    init = logger.init_options
    assert (init["id"], init["group"], init["job_type"], init["resume"]) == (
        "run1-test",
        "vae",
        "test",
        "allow",
    )
    assert init["dir"] == str(tmp_path / "vae" / "run1" / "test")


def test_failing_wandb_falls_back_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def refuse(**options: object) -> wandb.Run:
        tried.append(options["mode"])
        if options["mode"] != "disabled":
            raise wandb.errors.CommError(f"no network\nfor {options['mode']}")
        return real_init(**options)

    real_init = wandb.init
    monkeypatch.setattr(wandb, "init", refuse)
    said: list[str] = []
    monkeypatch.setattr(wandb_logger, "rank_zero_info", said.append)
    logger = RunWandbLogger(make_run(tmp_path), "online", {}, WandbOptions(), MONITOR)
    logger.log_metrics({"val/x": 1.0}, step=1)
    logger.finalize("success")
    assert tried == ["online", "offline", "disabled"]
    assert said == ["W&B: cannot start online (no network)", "W&B: cannot start offline (no network)"]
    assert logger.where is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_MODE", "off", "WANDB_MODE is 'off'(.|\n)*online, offline, disabled"),
        ("WANDB_PROJECT", "a/b:c", "The W&B project is 'a/b:c'"),
        ("WANDB_RUN_ID", "my run/1", "WANDB_RUN_ID is 'my run/1', which is not a plain folder name"),
    ],
)
def test_what_wandb_would_refuse_is_refused_before_anything_starts(
    name, value, message, toy_yaml, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(toy_yaml)])
    assert end.value.code == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "runs").exists()
