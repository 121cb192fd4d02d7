"""The data module of a person's own recordings: a folder in, batches out."""

from pathlib import Path
from typing import Literal

from datamodules.cache.preparation import FOLDER, Preparation
from datamodules.clips.data_module import ClipDataModule


class AudioFolderDataModule(ClipDataModule):
    """Any folder of sound files, and the folders below it, as clips of sound.

    WAV, FLAC, Ogg, Opus, MP3, AIFF and what else libsndfile reads, at any rate and with any number of
    channels; below `sample_rate` a recording lacks the upper octaves. Files that cannot be used are named in
    a warning and left out; copies of a recording, and links to one, count once; hidden files are passed over.
    A MIDI file beside a recording, of the same name apart from the suffix, has its notes.

    If the folder has a folder `train`, what lies in `train`, `validation` and `test` is in these splits.
    Otherwise a hash of each file's name puts a tenth into validation and a tenth into test, so that a file
    that is added later never moves another.

    They are decoded once into a cache, which belongs to the folder: files that are added later join it.
    Clips are chosen as by `MaestroDataModule`.

    Args:
        source: The folder.
        cache_dir: Where caches are kept; the environment variable MAESTRO_CACHE, else
            ~/.cache/maestro-lightning, by default.
        sample_rate: Rate of the clips, and of the cache, in Hz.
        channels: 1 (mean of all) or 2.
        clip_samples: Length T of a training clip in samples; shorter recordings are left out.
        eval_clip_seconds: Length of an evaluation clip in seconds; shorter recordings are left out.
        batch_size: Training clips per batch and device.
        eval_batch_size: Evaluation clips per batch and device.
        clips_per_epoch: Training clips in an epoch; None for as many as the training split is long.
        gain_db: Lowest and highest random gain of training clips in dB; None for none.
        flip_polarity: Whether to negate half of the training clips.
        max_hours: Use at most about this many hours, over all splits; None for all.
        workers: Processes that load batches; "auto" for the fastest measured, which is none.
        prefetch_batches: Batches that each worker process loads ahead; None for 2.
        pin_memory: Whether batches go through page-locked memory; "auto" if the Trainer uses a CUDA GPU.
        prepare_threads: Recordings converted at a time; "auto" for one per core.
        progress: Whether preparing shows its plan and a progress bar.
        with_notes: Whether batches carry the notes of their clips, which leaves out recordings without MIDI;
            "auto" for where the Trainer's model says that it `reads_notes`.
        seed: Seed of the training clips.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    how_to_widen = "add recordings, or put some of them into folders train/, validation/ and test/"

    def __init__(
        self,
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
        workers: int | Literal["auto"] = "auto",
        prefetch_batches: int | None = None,
        pin_memory: bool | Literal["auto"] = "auto",
        prepare_threads: int | Literal["auto"] = "auto",
        progress: bool = True,
        with_notes: bool | Literal["auto"] = "auto",
        seed: int = 0,
    ) -> None:
        preparation = Preparation(
            release=None,
            source=source,
            cache_dir=cache_dir,
            sample_rate=sample_rate,
            channels=channels,
            max_hours=max_hours,
            prepare_threads=prepare_threads,
            progress=progress,
        )
        super().__init__(
            preparation,
            FOLDER,
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
