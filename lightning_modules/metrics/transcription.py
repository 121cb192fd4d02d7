"""The notes that an independent transcriber hears: Transkun (Yan and Duan 2024), its weights in its package.

Transkun was trained on the training split of MAESTRO: it knows that sound, and scores of real recordings of
MAESTRO flatter. It does not know the models of this project.
"""

import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.files import read_limited, whole_file
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.checkpoints.file import check_members
from lightning_modules.errors import OptionError

SEGMENT_SECONDS = 16.0
"""Length of Transkun's training clips. A shorter clip is followed by silence (without it, notes of clips of
3 s are missed), a longer one cut into segments that overlap by half."""
GAP_SECONDS = 1.0
QUIETEST_PEAK = 1e-4
"""-80 dB of full scale. Transkun levels every clip first: fainter ones would be rounding errors to it."""
_LARGEST_BYTES = 1 << 24
"""Of the notes heard in one clip: a hundred for each second of an hour."""


def transkun_network() -> nn.Module:
    """Transkun 2 with its weights, frozen, on the CPU.

    Raises:
        OptionError: If the package is not installed.
    """
    try:
        import transkun

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*")  # which it imports with
            from transkun.ModelTransformer import TransKun
    except ImportError as error:
        raise OptionError(
            f"Hearing notes needs the package transkun, which cannot be imported ({error})",
            'pip install -e ".[transcription]"',
        ) from error
    folder = Path(transkun.__file__).parent / "pretrained"
    config = TransKun.Config()
    for name, value in json.loads((folder / "2.0.conf").read_text(encoding="utf-8"))["Model"][
        "config"
    ].items():
        setattr(config, name, value)
    network = TransKun(conf=config)
    checkpoint = torch.load(folder / "2.0.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(checkpoint.get("best_state_dict", checkpoint.get("state_dict")), strict=False)
    return network.requires_grad_(False).eval()


def transkun_features(network: Any, segment: Tensor) -> Tensor:  # noqa: ANN401 (the package is not typed)
    """Features of Transkun, means over its keys: (T,) of `SEGMENT_SECONDS` at its rate -> (N, F)."""
    from transkun.Util import makeFrame

    frames = makeFrame(segment[None], network.hopSize, network.windowSize)
    with without_checkpoint_warnings():
        _, context = network.processFramesBatch(frames[None])  # (1, keys, N, F)
    return context[0].mean(0)


@contextmanager
def without_checkpoint_warnings() -> Iterator[None]:
    """Transkun checkpoints activations, which without gradients does nothing and is warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(use_reentrant|requires_grad=True).*")
        yield


class NoteListener:
    """Hears the notes of clips, each only once: what was heard is kept under a hash of the samples.

    Args:
        cache_dir: Folder in which what was heard is kept for other processes; None for memory alone.
        budget_seconds: How many seconds of audio may be listened to, in segments of 16 or more; None for all.
            Clips that are known cost nothing.
        progress: Called after each segment with its seconds.
        device: Where the network runs.

    Attributes:
        heard_seconds: Seconds of audio listened to so far.

    Raises:
        OptionError: If transkun is not installed.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        budget_seconds: float | None = None,
        progress: Callable[[float], object] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.budget_seconds = budget_seconds
        self.progress = progress
        self.network: Any = transkun_network().to(device)
        self.device = torch.device(device)
        self.heard_seconds = 0.0
        self._known: dict[str, HeardNotes] = {}

    def __call__(self, waveform: Tensor, sample_rate: int) -> list[HeardNotes | None]:
        """The notes that begin within each clip; their offsets are where the sound ends.

        As many clips as go into a segment are listened to at once, a second of silence between them.

        Args:
            waveform: (B, C, T) in [-1, 1], at any rate.
            sample_rate: In Hz.

        Returns:
            B lists of notes; None for clips that are not known when the budget is spent.
        """
        samples = np.ascontiguousarray(waveform.detach().float().cpu().numpy())
        keys = [content_key(clip, sample_rate) for clip in samples]
        new = [index for index, key in enumerate(keys) if self._recall(key) is None]
        seconds = samples.shape[-1] / sample_rate
        together = clips_per_segment(seconds)
        cost = max(seconds, SEGMENT_SECONDS)
        for start in range(0, len(new), together):
            if self.budget_seconds is not None and self.heard_seconds + cost > self.budget_seconds:
                break
            taken = new[start : start + together]
            for index, notes in zip(taken, self._listen(samples[taken], sample_rate), strict=True):
                self._remember(keys[index], notes)
            self.heard_seconds += cost
            if self.progress is not None:
                self.progress(cost)
        return [self._known.get(key) for key in keys]

    def _listen(self, clips: np.ndarray, sample_rate: int) -> list[HeardNotes]:
        """The notes heard in clips (B, C, T), one after the other."""
        usable = np.isfinite(clips).all(axis=(1, 2)) & (np.abs(clips).max(axis=(1, 2)) >= QUIETEST_PEAK)
        seconds, gap = clips.shape[-1] / sample_rate, round(GAP_SECONDS * sample_rate)
        joined = np.concatenate(
            list(np.pad(clips[usable], ((0, 0), (0, 0), (0, gap)))) or [clips[0]], axis=-1
        )
        heard = self._transcribe(joined[..., : joined.shape[-1] - gap], sample_rate) if usable.any() else []
        found, place = [], 0.0
        for is_usable in usable.tolist():
            rows = [
                (onset - place, pitch, offset - place, velocity)
                for onset, pitch, offset, velocity in heard
                if is_usable and 0.0 <= onset - place < seconds
            ]
            found.append(HeardNotes.from_rows(rows))
            place += is_usable * (clips.shape[-1] + gap) / sample_rate
        return found

    @torch.no_grad()
    def _transcribe(self, samples: np.ndarray, sample_rate: int) -> list[tuple[float, int, float, int]]:
        """Onset, pitch, offset and velocity of the notes in (C, T)."""
        audio = torch.from_numpy(resampled_to(self.network.fs, samples, sample_rate))  # (T', C)
        missing = round(SEGMENT_SECONDS * self.network.fs) - len(audio)
        audio = functional.pad(audio, (0, 0, 0, max(missing, 0))).to(self.device)
        step = SEGMENT_SECONDS if missing >= 0 else SEGMENT_SECONDS / 2
        with without_checkpoint_warnings():
            heard = self.network.transcribe(audio, stepInSecond=step, segmentSizeInSecond=SEGMENT_SECONDS)
        return [
            (float(note.start), note.pitch, float(note.end), min(max(note.velocity, 1), 127))
            for note in heard
            if note.pitch > 0  # pedals have negative numbers
        ]

    def _recall(self, key: str) -> HeardNotes | None:
        if key not in self._known and self.cache_dir is not None:
            kept = read_heard(self.cache_dir / f"{key}.npz")
            if kept is not None:
                self._known[key] = kept
        return self._known.get(key)

    def _remember(self, key: str, notes: HeardNotes) -> None:
        self._known[key] = notes
        if self.cache_dir is not None:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            with whole_file(self.cache_dir / f"{key}.npz") as part, part.open("wb") as file:
                np.savez(file, **notes._asdict())


def read_heard(path: Path) -> HeardNotes | None:
    """The notes that a file keeps; None if there is none, or it holds anything that was not written there.

    Whoever asks listens again then, and the file is replaced.
    """
    if not os.path.lexists(path):
        return None
    try:
        content = io.BytesIO(read_limited(path, _LARGEST_BYTES))
        with zipfile.ZipFile(content) as archive:
            check_members(path, archive)
        with np.load(content, allow_pickle=False) as kept:
            notes = HeardNotes(**{name: kept[name] for name in kept.files})
        _check_heard(notes)
    except Exception as error:  # whatever a damaged file makes zipfile and numpy raise
        reason = getattr(error, "problem", error)
        warnings.warn(f"{path} is damaged ({reason}): that clip is listened to again", stacklevel=2)
        return None
    return notes


def _check_heard(notes: HeardNotes) -> None:
    kinds = [(column.dtype.str, column.shape) for column in notes]
    expected = [(kind, notes.pitch.shape[:1]) for kind in ("<i8", "<f8", "<f8", "<i8")]
    if kinds != expected:
        raise ValueError("other arrays than notes have")
    times_are_possible = (notes.onset >= 0).all() and (np.stack([notes.onset, notes.offset]) < np.inf).all()
    numbers = np.stack([notes.pitch, notes.velocity])
    if not times_are_possible or numbers.min(initial=1) < 1 or numbers.max(initial=1) > 127:
        raise ValueError("a time, pitch or velocity that cannot be")


def clips_per_segment(seconds: float) -> int:
    """How many clips of a length are listened to at once."""
    return max(int((SEGMENT_SECONDS + GAP_SECONDS) / (seconds + GAP_SECONDS)), 1)


def content_key(samples: np.ndarray, sample_rate: int) -> str:
    """Hash of a clip (C, T) and its rate."""
    digest = hashlib.blake2b(f"transkun 2.0 {sample_rate} {samples.shape}".encode(), digest_size=16)
    digest.update(samples.tobytes())
    return digest.hexdigest()


def resampled_to(rate: int, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """(C, T) at `sample_rate` -> (T', C) float32 at `rate`."""
    import soxr

    return soxr.resample(samples.T, sample_rate, rate).astype(np.float32)
