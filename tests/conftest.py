"""Fixtures shared by the tests: a toy experiment that trains in a second, a tiny release made by code."""

import csv
import json
import os
import random
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

if "PYTEST_XDIST_WORKER" in os.environ:
    # the processes of the tests share the cores: two threads each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from lightning_modules.cli.installation import require_pair
from lightning_modules.errors import InstallationError

TOYS = Path(__file__).parent / "toys"
# `class_path: toy_experiment.ToyModule` in YAML must be importable, also by processes that the tests start
sys.path.insert(0, str(TOYS))
# and so must the tests themselves, by processes that begin anew, whatever working folder a command ran in
sys.path[:] = [str(TOYS.parents[1]) if entry == "" else entry for entry in sys.path]
sys.path.append(str(TOYS.parents[1]))
from range_server import RangeServer, serve  # noqa: E402


def pytest_configure() -> None:
    """One sentence instead of a traceback for each test file."""
    try:
        require_pair(is_sure=True)
    except InstallationError as error:
        pytest.exit(str(error), returncode=1)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # whoever comes first compiles it, the others wait; two at once would end by a segmentation fault
        from lightning_modules.metrics.onsets import import_librosa

        import_librosa()


LONGEST_FIRST = ("notebooks", "test_readme.py", "integration")
"""Below `tests`: what takes minutes begins at once, so that no process waits for another at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay in their order."""
    folder = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(folder).parts[0]
        return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


TOY_YAML = """
experiment: toy
model:
  class_path: toy_experiment.ToyModule
  init_args:
    network:
      class_path: toy_experiment.Scale
data:
  class_path: toy_experiment.ToyDataModule
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  precision: ${auto_precision:}
"""


@pytest.fixture
def toy_yaml(tmp_path: Path) -> Path:
    """A complete experiment file that trains the toy model for two epochs."""
    path = tmp_path / "toy.yaml"
    path.write_text(TOY_YAML)
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of six megabytes and eighty files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-o", "size=6m,nr_inodes=80", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", *options], check=False).returncode != 0:
        pytest.skip("only root may make a small file system, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """A test draws the same numbers alone, among others and in any order."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def toys_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints of the tests hold classes of `tests/toys`, as those of a person's own package."""
    monkeypatch.setenv("LIGHTNING_TRUST", "toy_experiment")


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach W&B, whatever account is configured on the machine; most need no logger at all."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("WANDB_RUN_ID", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def no_transcriber() -> Iterator[None]:
    """Listening for notes takes a quarter of a minute for each clip: tests that do ask for `transkun`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "transkun", None)
        yield


@pytest.fixture(scope="module")
def transkun() -> Iterator[None]:
    """The transcriber, where its package is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "transkun")
        pytest.importorskip("transkun")
        yield


COLUMNS = (
    "canonical_composer",
    "canonical_title",
    "split",
    "year",
    "midi_filename",
    "audio_filename",
    "duration",
)


@dataclass
class Recording:
    """One row of a made release, and how its WAV is written."""

    name: str
    split: str = "train"
    seconds: float = 2.0
    rate: int = 44_100
    channels: int = 2
    subtype: str = "PCM_16"
    year: int = 2009
    composer: str = "Franz Schubert"
    title: str = ""
    waveform: np.ndarray | None = field(default=None, repr=False)
    """(T, C) float; decaying notes by default."""

    @property
    def audio(self) -> str:
        return f"{self.year}/{self.name}.wav"

    def row(self) -> dict[str, str | int | float]:
        values = (self.composer, self.title or f"Sonata {self.name}", self.split, self.year)
        return dict(
            zip(COLUMNS, (*values, f"{self.year}/{self.name}.midi", self.audio, self.seconds), strict=True)
        )

    def write(self, root: Path) -> None:
        path = root / self.audio
        path.parent.mkdir(parents=True, exist_ok=True)
        waveform = self.waveform if self.waveform is not None else self._notes()
        soundfile.write(path, waveform, self.rate, subtype=self.subtype)

    def _notes(self) -> np.ndarray:
        """A decaying note every quarter of a second, a little different in each channel."""
        random = np.random.default_rng(sum(self.name.encode()))
        time = np.arange(round(self.seconds * self.rate)) / self.rate
        waveform = np.zeros((len(time), self.channels))
        for onset in range(0, len(time), self.rate // 4):
            frequency = 440 * 2 ** (random.integers(-24, 24) / 12)
            since = time[: min(self.rate, len(time) - onset)]
            note = np.sin(2 * np.pi * frequency * since) * np.exp(-5 * since)
            waveform[onset : onset + len(since)] += note[:, None] * random.uniform(0.1, 0.2, self.channels)
        return 0.5 * waveform


@pytest.fixture
def recording() -> type[Recording]:
    """The class `Recording`, for tests that make their own release."""
    return Recording


@pytest.fixture(scope="session")
def recording_class() -> type[Recording]:
    """The same, for fixtures that live longer than one test."""
    return Recording


def write_metadata(root: Path, recordings: Sequence[Recording], stem: str) -> None:
    """Write the CSV and the column-oriented JSON of a release."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [recording.row() for recording in recordings]
    with (root / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    columns = {c: {str(i): row[c] for i, row in enumerate(rows)} for c in COLUMNS}
    (root / f"{stem}.json").write_text(json.dumps(columns), encoding="utf-8")


@pytest.fixture(scope="session")
def make_release() -> Callable[..., Path]:
    """A function that writes a release: `make_release(root, recordings, stem=...)` returns its root."""

    def make(root: Path, recordings: Sequence[Recording], stem: str = "maestro-v3.0.0") -> Path:
        write_metadata(root, recordings, stem)
        for one in recordings:
            one.write(root)
        return root

    return make


@pytest.fixture
def tiny_release(tmp_path: Path, make_release: Callable[..., Path]) -> Path:
    """Three training recordings, one for validation, one for test: 2 to 4 s, 44.1 and 48 kHz mixed."""
    recordings = [
        Recording("a", seconds=2.0),
        Recording("b", seconds=3.0, rate=48_000, composer="Franz Liszt"),
        Recording("c", seconds=4.0, year=2014),
        Recording("d", split="validation", seconds=2.5),
        Recording("e", split="test", seconds=2.5, rate=48_000, year=2014),
    ]
    return make_release(tmp_path / "maestro-v3.0.0", recordings)


@pytest.fixture(scope="session")
def tiny_run_data(tmp_path_factory: pytest.TempPathFactory, make_release: Callable[..., Path]) -> list[str]:
    """Options that train any experiment file on a release of a few seconds."""
    folder = tmp_path_factory.mktemp("tiny")
    splits = ("train", "validation", "test")
    recordings = [Recording(split, split=split, seconds=2.5) for split in splits]
    source = make_release(folder / "maestro-v3.0.0", recordings)
    # the config of a run is followed only to a folder that holds a cache already
    (folder / "cache/pcm").mkdir(parents=True)
    options = {"release": "v3.0.0", "source": source, "cache_dir": folder / "cache", "clip_samples": 4096}
    options |= {"batch_size": 2, "eval_clip_seconds": 1.0}
    return [f"--data.{name}={value}" for name, value in options.items()]


@pytest.fixture(scope="session")
def long_noise_release() -> Callable[[Path], Path]:
    """A function that writes 16 minutes of noise as a release, for benchmarks: 12 at 44.1, 4 at 48 kHz."""

    def make(root: Path) -> Path:
        recordings = []
        for number in range(16):
            rate = 48_000 if number % 4 == 3 else 44_100
            noise = np.random.default_rng(number).normal(0, 0.1, size=(60 * rate, 2))
            recordings.append(Recording(f"{number}", seconds=60, rate=rate, waveform=noise))
            recordings[-1].write(root)
            recordings[-1].waveform = None
        write_metadata(root, recordings, "maestro-v3.0.0")
        return root

    return make


@pytest.fixture(autouse=True)
def no_internet(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Only the machine itself may be reached."""
    if request.node.get_closest_marker("network"):
        return
    resolve = socket.getaddrinfo

    def resolve_locally(host: str, *arguments: object, **options: object) -> object:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, f"a test wanted to reach {host}")
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)


@pytest.fixture
def pack() -> Callable[..., Path]:
    """A function that packs a release's folder: `pack(folder, target)`, stored, as the official archive."""

    def make(
        folder: Path, target: Path, compression: int = zipfile.ZIP_STORED, root: str | None = None
    ) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = folder.name if root is None else root
        with zipfile.ZipFile(target, "w", compression) as archive:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                archive.write(path, f"{prefix}/{name}" if prefix else name)
        return target

    return make


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The folder that `server` serves."""
    folder = tmp_path / "web"
    folder.mkdir()
    return folder


@pytest.fixture
def server(web: Path) -> Iterator[RangeServer]:
    """A server with range support."""
    with serve(web) as running:
        yield running


@pytest.fixture
def tiny_url(tiny_release: Path, web: Path, server: RangeServer, pack: Callable[..., Path]) -> str:
    """The tiny release as a stored zip on the server, its table beside it."""
    pack(tiny_release, web / "maestro-v3.0.0.zip")
    (web / "maestro-v3.0.0.csv").write_bytes((tiny_release / "maestro-v3.0.0.csv").read_bytes())
    return f"{server.url}/maestro-v3.0.0.zip"
