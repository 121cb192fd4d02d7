"""What is found on a machine, what is advised, and that nothing missing makes the doctor fall ill."""

import os
import shlex
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from datamodules.batch import Batch
from datamodules.cache.pcm import CacheEntry, CacheSpec, write_manifest
from lightning_modules import VAE
from lightning_modules.cli import installation, machine
from lightning_modules.cli.machine import Check, Level, examine, next_command


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and packages as pinned whatever is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAESTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(installation, "requirements", lambda: [Requirement("pytest>=1")])


def find(name: str) -> Check:
    return next(each for each in examine() if each.name == name)


def make_checkpoint(name: str) -> Path:
    path = Path("runs/vae/one/checkpoints") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_compiled_part_that_does_not_work_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("/somewhere/lib.so: undefined symbol: a_b_c")

    monkeypatch.setitem(installation.OPERATIONS, "pytest", fail)
    finding = find("operations")
    assert finding.level is Level.ERROR
    assert finding.value == f"pytest {pytest.__version__} does not work (lib.so: undefined symbol: a_b_c)"
    assert "--force-reinstall --no-deps pytest`" in finding.remedy


def test_what_cannot_be_looked_at_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[Check]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(machine, "memory", fail)
    assert find("memory") == Check(
        "memory", Level.WARNING, "cannot be examined (RuntimeError: no such thing)"
    )


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10 << 30, 10 << 30, 1 << 20))
    assert find("disk, runs").level is Level.ERROR
    assert next_command(examine()).startswith("free some space, or give another --runs_dir")


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    found = find("disk, cache")
    assert found.level is Level.ERROR and "cache is no folder" in found.value


def test_a_driver_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert find("devices").level is Level.WARNING
    assert "an NVIDIA driver, but torch" in find("devices").value


def test_caches_are_listed(tmp_path: Path) -> None:
    assert find("cache").value.startswith("empty;")
    folder = tmp_path / "cache/pcm/v3.0.0-16000hz-1ch-1f2e3d4c"
    folder.mkdir(parents=True)
    entry = CacheEntry(16_000 * 1800, crc32=1, source_rate=44_100, clipped=0, source="a")
    write_manifest(folder, CacheSpec("v3.0.0", 16_000, 1, "0"), {"a": entry, "b": entry})
    assert find("cache").value == "v3.0.0 at 16000 Hz, 1 channel(s): 2 recordings, 1.00 h"
    (folder / "manifest.json").write_text("{")
    assert find("cache").level is Level.WARNING
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    assert find("cache").level is Level.WARNING


def test_what_to_run_follows_from_the_runs() -> None:
    make_checkpoint("last.ckpt")
    best = make_checkpoint("best.ckpt")
    assert next_command(examine()) == f"lightning test --ckpt_path {best}"
    interrupted = make_checkpoint("interrupted.ckpt")
    assert next_command(examine()) == f"lightning fit --ckpt_path {interrupted}"


def test_a_command_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my runs/vae/$HOME/checkpoints"
    folder.mkdir(parents=True)
    (folder / "interrupted.ckpt").touch()
    command = next_command(examine(runs_dir=str(tmp_path / "my runs")), str(tmp_path / "my runs"))
    assert shlex.split(command) == ["lightning", "fit", "--ckpt_path", str(folder / "interrupted.ckpt")]
    assert "'" in command


def test_several_gpus_ask_for_ddp() -> None:
    two = Check("devices", Level.OK, "A (80 GiB), A (80 GiB); 16 CPU cores")
    assert next_command([two]).endswith("vae.yaml --config experiments/hardware/ddp.yaml")


def test_one_gpu_asks_for_its_overlay() -> None:
    one = Check("devices", Level.OK, "A (80 GiB); 16 CPU cores")
    assert next_command([one]).endswith("vae.yaml --config experiments/hardware/gpu.yaml")


def test_how_many_clips_fit_into_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [each for each in examine() if each.name == "batch size"] or torch.cuda.is_available()
    sizes = [24 << 30, 8 << 30]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    gpu = namedtuple("gpu", "total_memory")
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda n: gpu(sizes[n]))
    # of the smaller: 0.7 x 8 GiB = 6,013 MB, less 24 MB of weights, / 5.6 MB = 1,069
    assert machine.batch_size()[0].value.startswith("experiments/vae.yaml: up to 1,024 clips of 1 s fit")


def kept_bytes(model: VAE, num_clips: int) -> int:
    """What a training step keeps for its backward pass, beside weights and buffers."""
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    where = torch.zeros(num_clips, dtype=torch.long)
    batch = Batch(0.1 * torch.randn(num_clips, 1, model.clip_samples), where, where)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        _ = model.training_step(batch, 0)
    return sum(kept.values())


def test_the_size_of_the_default_vae(monkeypatch: pytest.MonkeyPatch) -> None:
    model = VAE.from_config(Path(__file__).parents[3] / "experiments/vae.yaml")
    monkeypatch.setattr(VAE, "global_step", 0)
    monkeypatch.setattr(model, "log_training", lambda *figures: None)
    assert sum(weight.numel() for weight in model.parameters()) == machine.VAE_WEIGHTS
    assert kept_bytes(model, 3) - kept_bytes(model, 2) == pytest.approx(machine.VAE_CLIP_BYTES, rel=0.05)


def test_wandb_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find("W&B").value == "disabled, as WANDB_MODE says"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert find("W&B").value.startswith("offline: no key")
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password none\n")
    assert find("W&B").value.startswith("online")
