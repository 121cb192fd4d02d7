"""The MAESTRO data module: options in, batches out."""

from pathlib import Path
from typing import Literal

from datamodules.archive.http_file import TransferPolicy
from datamodules.cache.preparation import Preparation
from datamodules.clips.data_module import ClipDataModule
from datamodules.releases import Release, find_release


class MaestroDataModule(ClipDataModule):
    """MAESTRO, or the embedded miniature of it, as clips of piano sound.

    The release is decoded once into a cache of 16-bit samples at one rate. Training clips are drawn at random
    positions and are a pure function of (seed, epoch, number of the clip), whatever the number of workers or
    devices; an epoch is rounded up to whole batches. Evaluation clips are adjacent and never overlap.
    Loaders ship int16 (`PcmBatch`); the Trainer's hook turns it into `Batch` on the device.

    Args:
        release: "mini" (embedded, rendered on first use), "v1.0.0", "v2.0.0" or "v3.0.0".
        source: Folder of the unpacked release or the folder that contains it, a zip file, or the URL of one.
            None renders `mini`, and reads other releases from the official server, only the members in use.
        cache_dir: Where caches and the rendered release are kept; the environment variable MAESTRO_CACHE,
            else ~/.cache/maestro-lightning, by default.
        sample_rate: Rate of the clips, and of the cache, in Hz.
        channels: 1 (mean of left and right) or 2.
        clip_samples: Length T of a training clip in samples.
        eval_clip_seconds: Length of an evaluation clip in seconds.
        batch_size: Training clips per batch and device.
        eval_batch_size: Evaluation clips per batch and device.
        clips_per_epoch: Training clips in an epoch; None for as many as the training split is long.
        gain_db: Lowest and highest random gain of training clips in dB; None for none.
        flip_polarity: Whether to negate half of the training clips.
        max_hours: Use at most about this many hours, over all splits; None for all.
        max_performances: Use at most about this many performances, over all splits; None for all.
        years: Use these years only; None for all.
        composers: Use these composers only, spelt as in the release; None for all.
        splits: Use these splits only ("train", "validation", "test"); None for all.
        max_bad_performances: How many unusable recordings are skipped with a warning before the run stops.
        workers: Processes that load batches; "auto" for the fastest measured, which is none.
        prefetch_batches: Batches that each worker process loads ahead; None for 2.
        pin_memory: Whether batches go through page-locked memory; "auto" if the Trainer uses a CUDA GPU.
        prepare_threads: Recordings converted at a time; "auto" for one per core, and at least four where they
            are downloaded.
        keep_recordings: Whether to also keep the WAV and MIDI files that come out of an archive, as a release
            of their own in `cache_dir`/recordings. Recordings that are cached already are not fetched again.
        transfer: How patient downloads are; None for the defaults of `TransferPolicy`.
        progress: Whether preparing shows its plan and a progress bar.
        with_notes: Whether batches carry the notes of their clips, which leaves out recordings without MIDI;
            "auto" for where the Trainer's model says that it `reads_notes`.
        seed: Seed of the training clips.

    Attributes:
        performances: Recordings in use, in the release's order; `Batch.performance` counts in this tuple.
            Available after `setup`.
        preparation: What makes and opens the cache.
        release: Facts of the release.
        sample_rate: In Hz.
        channels: Channels C.
        clip_samples: Length T of a training clip in samples.
        eval_clip_samples: Length T of an evaluation clip in samples.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    how_to_widen = "widen years, composers, max_hours or max_performances"

    def __init__(
        self,
        release: str = "mini",
        source: str | Path | None = None,
        cache_dir: str | Path | None = None,
        sample_rate: int = 16_000,
        channels: int = 1,
        clip_samples: int = 16_384,
        eval_clip_seconds: float = 16.0,
        batch_size: int = 16,
        eval_batch_size: int = 4,
        clips_per_epoch: int | None = None,
        gain_db: tuple[float, float] | None = None,
        flip_polarity: bool = False,
        max_hours: float | None = None,
        max_performances: int | None = None,
        years: list[int] | None = None,
        composers: list[str] | None = None,
        splits: list[str] | None = None,
        max_bad_performances: int = 0,
        workers: int | Literal["auto"] = "auto",
        prefetch_batches: int | None = None,
        pin_memory: bool | Literal["auto"] = "auto",
        prepare_threads: int | Literal["auto"] = "auto",
        keep_recordings: bool = False,
        transfer: TransferPolicy | None = None,
        progress: bool = True,
        with_notes: bool | Literal["auto"] = "auto",
        seed: int = 0,
    ) -> None:
        preparation = Preparation(
            release=release,
            source=source,
            cache_dir=cache_dir,
            sample_rate=sample_rate,
            channels=channels,
            max_hours=max_hours,
            max_performances=max_performances,
            years=years,
            composers=composers,
            splits=splits,
            max_bad_performances=max_bad_performances,
            prepare_threads=prepare_threads,
            keep_recordings=keep_recordings,
            transfer=transfer,
            progress=progress,
        )
        super().__init__(
            preparation,
            release,
            clip_samples=clip_samples,
            eval_clip_seconds=eval_clip_seconds,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            clips_per_epoch=clips_per_epoch,
            gain_db=gain_db,
            flip_polarity=flip_polarity,
            workers=workers,
            prefetch_batches=prefetch_batches,
            pin_memory=pin_memory,
            with_notes=with_notes,
            seed=seed,
        )
        self.release: Release = find_release(release)
