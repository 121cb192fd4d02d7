"""The data module of notes alone: MIDI files in, windows of tokens out."""

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from numpy.typing import NDArray

from datamodules.archive.base import Archive
from datamodules.archive.http_file import TransferPolicy
from datamodules.archive.open import open_archive
from datamodules.batch import NoteBatch
from datamodules.cache.preparation import cache_root
from datamodules.cache.tokens import TokenCache
from datamodules.clips.loader import ClipLoader, clip_loader
from datamodules.clips.notes import ClipNotes
from datamodules.clips.samplers import BatchSampler, EvaluationSampler, TrainingSampler, replica_of
from datamodules.clips.windows import EvaluationWindows, Pieces, TokenWindows, TrainingWindows, Variation
from datamodules.errors import CacheError, OptionError, ReleaseError
from datamodules.files import translated_write_errors
from datamodules.options import LARGEST_SEED, MOST_PROCESSES, at_least
from datamodules.release.catalogue import Performance, read_catalogue
from datamodules.release.midi_folder import read_midi_folder
from datamodules.release.notes import read_played
from datamodules.release.selection import Selection
from datamodules.release.tokens import ENCODING, NoteReader, NoteTokens
from datamodules.releases import SPLITS, find_release


@dataclass(frozen=True)
class _Opened:
    """A release's MIDI files, and the performances in use."""

    cache: TokenCache
    performances: tuple[Performance, ...]


class MaestroNotesDataModule(pl.LightningDataModule):
    """The notes of MAESTRO, of the embedded miniature of it, or of any folder of MIDI files, as tokens.

    Nothing is rendered, and no audio is fetched. Training windows are a pure function of (seed, epoch, number
    of the window); for evaluation each token of a split counts once. Batches are `TokenBatch`.

    Args:
        release: "mini" (embedded), "v1.0.0", "v2.0.0" or "v3.0.0", in its official splits; None for a folder
            of MIDI files that is no release: a tenth of its files is for validation, a tenth for test.
        source: Folder or zip file of the release, with or without its audio, or the URL of one; for `release`
            None, the folder. None makes `mini` in a second, and reads other releases from the official
            archive of MIDI files.
        cache_dir: Where tokens are kept; the environment variable MAESTRO_CACHE, else
            ~/.cache/maestro-lightning, by default.
        window_tokens: Length S of a window; a note is about four tokens.
        batch_size: Training windows per batch and device.
        eval_batch_size: Evaluation windows per batch and device.
        windows_per_epoch: Training windows in an epoch; None for as many as the training split is long.
        variation: Random changes of training windows; None for the defaults of `Variation`.
        max_hours: Use at most about this many hours, over all splits; None for all.
        max_performances: Use at most about this many performances, over all splits; None for all.
        years: Use these years only; None for all.
        composers: Use these composers only, spelt as in the release; None for all.
        splits: Use these splits only ("train", "validation", "test"); None for all.
        max_bad_performances: How many unusable MIDI files are skipped with a warning before the run stops.
        workers: Processes that load batches.
        transfer: How patient downloads are; None for the defaults of `TransferPolicy`.
        progress: Whether preparing shows its progress.
        seed: Seed of the training windows.

    Attributes:
        performances: In use, in the release's order; `TokenBatch.performance` counts in this tuple. Available
            after `setup`.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    def __init__(
        self,
        release: str | None = "mini",
        source: str | Path | None = None,
        cache_dir: str | Path | None = None,
        window_tokens: int = 512,
        batch_size: int = 16,
        eval_batch_size: int = 8,
        windows_per_epoch: int | None = None,
        variation: Variation | None = None,
        max_hours: float | None = None,
        max_performances: int | None = None,
        years: list[int] | None = None,
        composers: list[str] | None = None,
        splits: list[str] | None = None,
        max_bad_performances: int = 0,
        workers: int = 0,
        transfer: TransferPolicy | None = None,
        progress: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if release is not None:
            find_release(release)
        elif source is None:
            raise OptionError("release and source are both None", "set source to a folder of MIDI files")
        self.release = release
        self.source = source
        self.cache_dir = cache_dir
        self.window_tokens = at_least("window_tokens", window_tokens, 2, "tokens")
        self.batch_size = at_least("batch_size", batch_size, 1, "windows")
        self.eval_batch_size = at_least("eval_batch_size", eval_batch_size, 1, "windows")
        if windows_per_epoch is not None:
            at_least("windows_per_epoch", windows_per_epoch, 1, "windows")
        self.windows_per_epoch = windows_per_epoch
        self.variation = variation or Variation()
        self.selection = Selection.of_options(max_hours, max_performances, years, composers, splits)
        self.max_bad_performances = at_least("max_bad_performances", max_bad_performances, 0, "files")
        self.workers = at_least("workers", workers, 0, "processes", MOST_PROCESSES)
        self.transfer = transfer
        self.progress = progress
        self.seed = at_least("seed", seed, 0, "any unit", LARGEST_SEED)
        self.performances: tuple[Performance, ...] = ()
        self._tokens: dict[int, NDArray[np.int16]] = {}

    def prepare_data(self) -> None:
        """Encode the MIDI files that are not in the cache yet.

        Raises:
            ReleaseError: If the release is not where `source` says, cannot be fetched, is faulty, or more
                than `max_bad_performances` of its MIDI files are unusable.
            CacheError: If the cache cannot be written.
        """
        opened = self._opened
        bad = opened.cache.build(opened.performances, self.progress)
        listed = "; ".join(f"{each.member} {each.problem}" for each in bad[:5])
        if len(bad) > self.max_bad_performances or len(bad) == len(opened.performances):
            raise ReleaseError(
                f"{len(bad)} of {len(opened.performances)} MIDI files cannot be used: {listed}",
                "mend or remove them, or set max_bad_performances to skip that many",
            )
        if bad:
            warnings.warn(f"{len(bad)} MIDI file(s) are left out: {listed}", stacklevel=2)

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens.

        Args:
            stage: Ignored: all splits are read.

        Raises:
            CacheError: If `prepare_data` has not run, or a file of it is damaged.
        """
        opened = self._opened
        tokens = {each: opened.cache.read(each.midi) for each in opened.performances}
        known = [each for each in opened.performances if tokens[each] is not None]
        if len(opened.performances) - len(known) > self.max_bad_performances or not known:
            raise CacheError(
                f"{len(opened.performances) - len(known)} of {len(opened.performances)} performances are not "
                f"in the cache {opened.cache.folder}",
                "call prepare_data() first; the Trainer does",
            )
        self.performances = tuple(known)
        self._tokens = dict(enumerate(each for each in tokens.values() if each is not None))

    @cached_property
    def vocabulary(self) -> NoteTokens:
        """Of the tokens."""
        return self._opened.cache.vocabulary

    def token_reader(self) -> NoteReader:
        """A reader at the beginning of a piece: what tokens mean, and which may follow."""
        return NoteReader(self.vocabulary)

    def note_batch(self, midi: bytes, sample_rate: int, num_samples: int) -> NoteBatch:
        """The notes of a MIDI file, as a model that plays notes takes them: one clip from its beginning.

        Raises:
            ReleaseError: If it is no MIDI file.
        """
        start, gain = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.float32)
        return ClipNotes({0: read_played(midi)}, sample_rate).batch(start, start, gain, num_samples)

    def pieces_of(self, split: str) -> Pieces:
        """Tokens of the performances of a split.

        Raises:
            OptionError: If there are none.
        """
        found = {row: self._tokens[row] for row, p in enumerate(self.performances) if p.split == split}
        if not found:
            raise OptionError(
                f"the selected part of {self.release or self.source} has no performances in the split "
                f"{split!r}",
                "widen years, composers, max_hours or max_performances, or switch that stage off "
                "(for validation: --trainer.limit_val_batches 0)",
            )
        return found

    def train_windows(self) -> TrainingWindows:
        """The training split as random windows."""
        pieces = self.pieces_of("train")
        total = sum(map(len, pieces.values()))
        num_windows = self.windows_per_epoch or max(1, total // self.window_tokens)
        sizes = (self.window_tokens, num_windows, self.batch_size)
        return TrainingWindows(pieces, self.vocabulary, *sizes, self.seed, self.variation)

    def eval_windows(self, split: str) -> EvaluationWindows:
        """A split as overlapping windows."""
        pieces = self.pieces_of(split)
        return EvaluationWindows(pieces, self.vocabulary, self.window_tokens, self.eval_batch_size)

    def train_dataloader(self) -> ClipLoader:
        """Batches of random windows of the training split."""
        windows = self.train_windows()
        return self._loader(windows, TrainingSampler(windows, self.batch_size, *replica_of(self.trainer)))

    def val_dataloader(self) -> ClipLoader:
        """Batches of the validation split."""
        return self._eval_loader("validation")

    def test_dataloader(self) -> ClipLoader:
        """Batches of the test split."""
        return self._eval_loader("test")

    @property
    def identity(self) -> dict[str, str | int]:
        """What exactly a model was trained on, for its checkpoint: plain values."""
        catalogue = "\n".join(f"{each.midi} {each.split}" for each in self.performances)
        counts = {split: sum(p.split == split for p in self.performances) for split in SPLITS}
        return {
            "release": self.release or "folder",
            "encoding": ENCODING,
            "catalogue": hashlib.sha256(catalogue.encode()).hexdigest()[:16],
            **{f"{split}_performances": count for split, count in counts.items()},
        }

    @cached_property
    def _opened(self) -> _Opened:
        root = cache_root(self.cache_dir)
        archive: Archive
        if self.release is None:
            archive, performances = read_midi_folder(Path(str(self.source)).expanduser())
        else:
            release = find_release(self.release)
            source = self.source or release.midi_url or _embedded(root)
            archive = open_archive(release, source, self.transfer, root / "sources")
            performances = read_catalogue(archive, release)
        return _Opened(TokenCache(root / "notes", archive), self.selection.apply(performances))

    def __getstate__(self) -> dict[str, object]:
        """Without the archive, which holds locks and is opened again where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def _eval_loader(self, split: str) -> ClipLoader:
        windows = self.eval_windows(split)
        sampler = EvaluationSampler(windows, self.eval_batch_size, *replica_of(self.trainer))
        return self._loader(windows, sampler)

    def _loader(self, windows: TokenWindows, sampler: BatchSampler) -> ClipLoader:
        return clip_loader(windows, sampler, self.workers, pin_memory=False)


def _embedded(root: Path) -> Path:
    """The folder of the embedded release's MIDI files."""
    from datamodules.mini import write_mini_midi

    folder = root / "releases"
    with translated_write_errors(folder):
        return write_mini_midi(folder)
