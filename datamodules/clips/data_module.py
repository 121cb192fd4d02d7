"""The common part of the data modules of sound: an open cache in, batches of clips out."""

import warnings
from typing import ClassVar, Literal

import lightning.pytorch as pl
from lightning.pytorch.accelerators import CUDAAccelerator

from datamodules.batch import Batch, PcmBatch
from datamodules.cache.pcm import PcmCache
from datamodules.cache.preparation import Preparation
from datamodules.clips.datasets import Augmentation, ClipDataset, EvaluationClips, TrainingClips
from datamodules.clips.loader import ClipLoader, clip_loader
from datamodules.clips.notes import ClipNotes
from datamodules.clips.samplers import BatchSampler, EvaluationSampler, TrainingSampler, replica_of
from datamodules.errors import CacheError, OptionError
from datamodules.options import LARGEST_SEED, MOST_PROCESSES, at_least, whole_samples
from datamodules.release.catalogue import Performance
from datamodules.release.notes import MidiFiles, Notes, Played
from datamodules.releases import SPLITS

# Handing batches between processes costs more than making them: tests/benchmarks/test_loader_speed.py.
_FASTEST_WORKERS = 0


class ClipDataModule(pl.LightningDataModule):
    """Recordings, wherever they come from, as clips of sound.

    They are decoded once into a cache of 16-bit samples at one rate. Training clips are drawn at random
    positions and are a pure function of (seed, epoch, number of the clip), whatever the number of workers or
    devices; an epoch is rounded up to whole batches. Evaluation clips are adjacent and never overlap.
    Loaders ship int16 (`PcmBatch`); the Trainer's hook turns it into `Batch` on the device.

    Args:
        preparation: What makes and opens the cache.
        name: What messages and checkpoints call the data.
        clip_samples: Length T of a training clip in samples.
        eval_clip_seconds: Length of an evaluation clip in seconds.
        batch_size: Training clips per batch and device.
        eval_batch_size: Evaluation clips per batch and device.
        clips_per_epoch: Training clips in an epoch; None for as many as the training split is long.
        gain_db: Lowest and highest random gain of training clips in dB; None for none.
        flip_polarity: Whether to negate half of the training clips.
        workers: Processes that load batches; "auto" for the fastest measured, which is none.
        prefetch_batches: Batches that each worker process loads ahead; None for 2.
        pin_memory: Whether batches go through page-locked memory; "auto" if the Trainer uses a CUDA GPU.
        with_notes: Whether batches carry the notes of their clips, which leaves out recordings without MIDI;
            "auto" for where the Trainer's model says that it `reads_notes`.
        seed: Seed of the training clips.

    Attributes:
        performances: Recordings in use, in the order of their source; `Batch.performance` counts in this
            tuple. Available after `setup`.
        preparation: What makes and opens the cache.
        name: What messages and checkpoints call the data.
        sample_rate: In Hz.
        channels: Channels C.
        clip_samples: Length T of a training clip in samples.
        eval_clip_samples: Length T of an evaluation clip in samples.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    name: str
    how_to_widen: ClassVar[str]
    """Advice for a split without recordings."""

    def __init__(
        self,
        preparation: Preparation,
        name: str,
        clip_samples: int,
        eval_clip_seconds: float,
        batch_size: int,
        eval_batch_size: int,
        clips_per_epoch: int | None,
        gain_db: tuple[float, float] | None,
        flip_polarity: bool,
        workers: int | Literal["auto"],
        prefetch_batches: int | None,
        pin_memory: bool | Literal["auto"],
        with_notes: bool | Literal["auto"],
        seed: int,
    ) -> None:
        super().__init__()
        self.preparation = preparation
        self.name = name
        self.sample_rate = preparation.sample_rate
        self.channels = preparation.channels
        self.clip_samples = at_least("clip_samples", clip_samples, 1, "samples")
        self.eval_clip_samples = whole_samples("eval_clip_seconds", eval_clip_seconds, self.sample_rate)
        self.batch_size = at_least("batch_size", batch_size, 1, "clips")
        self.eval_batch_size = at_least("eval_batch_size", eval_batch_size, 1, "clips")
        if clips_per_epoch is not None:
            at_least("clips_per_epoch", clips_per_epoch, 1, "clips")
        self.clips_per_epoch = clips_per_epoch
        self.augmentation = Augmentation(gain_db, flip_polarity)
        self.workers = at_least(
            "workers", _FASTEST_WORKERS if workers == "auto" else workers, 0, "processes", MOST_PROCESSES
        )
        if prefetch_batches is not None:
            at_least("prefetch_batches", prefetch_batches, 1, "batches")
        self.prefetch_batches = prefetch_batches
        self.pin_memory = pin_memory
        self.with_notes = with_notes
        self.seed = at_least("seed", seed, 0, "any unit", LARGEST_SEED)
        self.performances: tuple[Performance, ...] = ()
        self._cache: PcmCache | None = None
        self._midi_files: MidiFiles | None = None
        self._played: dict[int, Played | None] = {}

    def prepare_data(self) -> None:
        """Bring the cache up to date.

        Raises:
            ReleaseError: If the recordings are not where `source` says, cannot be fetched, or are faulty.
            AudioError: If more recordings are unusable than tolerated.
            CacheError: If the cache cannot be written.
        """
        self.preparation.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache.

        Args:
            stage: "fit", "validate", "test" or "predict"; None for all.

        Raises:
            CacheError: If `prepare_data` has not run, or the cache is damaged.
            OptionError: If training clips are longer than every recording.
        """
        if self._cache is None:
            self._cache, self.performances = self.preparation.open()
        if stage in (None, "fit"):
            self._rows("train", self.clip_samples, "clip_samples")

    def train_dataloader(self) -> ClipLoader:
        """Batches of random clips of the training split."""
        clips = self.train_clips()
        return self._loader(clips, TrainingSampler(clips, self.batch_size, *replica_of(self.trainer)))

    def val_dataloader(self) -> ClipLoader:
        """Batches of the grid of the validation split."""
        return self._eval_loader("validation")

    def test_dataloader(self) -> ClipLoader:
        """Batches of the grid of the test split."""
        return self._eval_loader("test")

    def predict_dataloader(self) -> ClipLoader:
        """The same as `test_dataloader`."""
        return self._eval_loader("test")

    def on_after_batch_transfer(self, batch: PcmBatch, dataloader_idx: int) -> Batch:
        """Convert int16 to float32 on the device."""
        return batch.to_batch()

    def train_clips(self) -> TrainingClips:
        """The training split as random clips."""
        rows = self._rows("train", self.clip_samples, "clip_samples")
        total = int(self.cache.samples[rows].sum())
        num_clips = self.clips_per_epoch or max(1, total // self.clip_samples)
        return TrainingClips(
            self.cache,
            rows,
            self.clip_samples,
            num_clips,
            self.batch_size,
            self.seed,
            self.augmentation,
            self._clip_notes(rows),
        )

    def eval_clips(self, split: str) -> EvaluationClips:
        """A split as a grid of clips.

        Args:
            split: "train", "validation" or "test".
        """
        rows = self._rows(split, self.eval_clip_samples, "eval_clip_seconds")
        return EvaluationClips(
            self.cache, rows, self.eval_clip_samples, self.eval_batch_size, self._clip_notes(rows)
        )

    def notes(self, performance: int, start_sample: int, num_samples: int) -> Notes | None:
        """The notes of a clip by its MIDI file, or None if the performance has none.

        Args:
            performance: As in `Batch.performance`.
            start_sample: As in `Batch.start_sample`.
            num_samples: Length T of the clip in samples.

        Returns:
            Those whose keys are down within the clip, in seconds from its start; notes struck before it have
            negative onsets.
        """
        played = self.played(performance)
        start, stop = start_sample / self.sample_rate, (start_sample + num_samples) / self.sample_rate
        return None if played is None else played.notes.between(start, stop)

    def played(self, performance: int) -> Played | None:
        """Notes and pedals of a whole performance by its MIDI file, or None if it has none.

        Args:
            performance: As in `Batch.performance`.
        """
        if performance not in self._played:
            if self._midi_files is None:
                self._midi_files = self.preparation.midi_files()
            self._played[performance] = self._midi_files.played(self.performances[performance].midi)
        return self._played[performance]

    @property
    def cache(self) -> PcmCache:
        """The open cache; its rows are those of `performances`.

        Raises:
            CacheError: Before `setup`.
        """
        if self._cache is None:
            raise CacheError("the data module is not set up", "call prepare_data() and setup() first")
        return self._cache

    @property
    def identity(self) -> dict[str, str | int]:
        """Facts that identify the data a model was trained on, for its checkpoint: plain values."""
        counts = {split: sum(p.split == split for p in self.performances) for split in SPLITS}
        return {
            "release": self.name,
            "cache": self.cache.identity,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            **{f"{split}_performances": count for split, count in counts.items()},
        }

    def _rows(self, split: str, clip_samples: int, option: str) -> list[int]:
        """Performances of a split that hold at least one clip, as indices into `performances`.

        Raises:
            OptionError: If there are none.
        """
        lengths = self.cache.samples
        members = [row for row, p in enumerate(self.performances) if p.split == split]
        if not members:
            raise OptionError(
                f"the selected part of {self.name} has no performances in the split {split!r}",
                f"{self.how_to_widen}, or switch that stage off (for validation: "
                "--trainer.limit_val_batches 0)",
            )
        rows = [row for row in members if lengths[row] >= clip_samples]
        clip = f"a clip of {clip_samples} samples ({clip_samples / self.sample_rate:.2f} s)"
        if not rows:
            longest = int(lengths[members].max())
            raise OptionError(
                f"{option}: {clip} is longer than every recording of the split {split!r}",
                f"the longest has {longest} samples ({longest / self.sample_rate:.2f} s): "
                f"lower {option} to that or less",
            )
        if left_out := len(members) - len(rows):
            warnings.warn(
                f"{option}: {clip} is longer than {left_out} of the {len(members)} recordings of the split "
                f"{split!r}, which are left out",
                stacklevel=2,
            )
        return self._with_midi(rows, split) if self._wants_notes else rows

    @property
    def _wants_notes(self) -> bool:
        """Whether batches carry notes."""
        if self.with_notes == "auto":
            return bool(getattr(getattr(self.trainer, "lightning_module", None), "reads_notes", False))
        return self.with_notes

    def _with_midi(self, rows: list[int], split: str) -> list[int]:
        """Those of `rows` whose notes are known.

        Raises:
            OptionError: If there are none.
        """
        known = [row for row in rows if self.played(row) is not None]
        if not known:
            raise OptionError(
                f"none of the {len(rows)} recordings of the split {split!r} has a MIDI file that can be "
                "read, and the model reads notes",
                "use recordings with their MIDI files, or a model of the waveform alone",
            )
        if left_out := len(rows) - len(known):
            warnings.warn(
                f"{left_out} of the {len(rows)} recordings of the split {split!r} have no MIDI file that can "
                "be read, and are left out: the model reads notes",
                stacklevel=2,
            )
        return known

    def _clip_notes(self, rows: list[int]) -> ClipNotes | None:
        """The notes that go with clips of some performances, if batches carry notes."""
        if not self._wants_notes:
            return None
        played = {row: found for row in rows if (found := self.played(row)) is not None}
        return ClipNotes(played, self.sample_rate)

    def _eval_loader(self, split: str) -> ClipLoader:
        clips = self.eval_clips(split)
        return self._loader(clips, EvaluationSampler(clips, self.eval_batch_size, *replica_of(self.trainer)))

    def _loader(self, clips: ClipDataset, sampler: BatchSampler) -> ClipLoader:
        on_gpu = self.trainer is not None and isinstance(self.trainer.accelerator, CUDAAccelerator)
        pin = on_gpu if self.pin_memory == "auto" else self.pin_memory
        return clip_loader(clips, sampler, self.workers, pin, self.prefetch_batches)
