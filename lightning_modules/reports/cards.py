"""The audio of a report: cards of players side by side, and the trials of the blind test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.reports.listening_set import Clip, ListeningSet, Piece, read_audio
from lightning_modules.reports.results import RunResults
from lightning_modules.reports.tracks import PianoRoll, Studio, Track, loudest_db, piano_roll

ORIGINAL = "original"
Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Card:
    """Players that belong together.

    Attributes:
        id: Unique within the page.
        title: The piece, or what the samples are of.
        subtitle: Composer and year, or empty.
        place: Where the clip lies in its recording; empty for samples.
        tracks: The players.
        roll: Notes of the clip, None where no MIDI is known.
    """

    id: str
    title: str
    subtitle: str
    place: str
    tracks: tuple[Track, ...]
    roll: PianoRoll | None = None


class Stimulus(NamedTuple):
    """One of the sounds to judge in a trial.

    Attributes:
        system: What made it: `original`, `reconstruction`, `rendering`, `sample`, or the name of a run.
        track: Id of the player that has the sound.
        level_db: Its RMS level, for playing all of a trial equally loud.
    """

    system: str
    track: str
    level_db: float


class Trial(NamedTuple):
    """Sounds to judge against each other.

    Attributes:
        kind: `reconstructions` or `samples`.
        clip: What they are of.
        stimuli: At least two.
    """

    kind: str
    clip: str
    stimuli: tuple[Stimulus, ...]


@dataclass(frozen=True)
class Listening:
    """Everything to listen to in a report."""

    clips: tuple[Card, ...]
    samples: tuple[Card, ...]
    pieces: tuple[Card, ...]
    trials: tuple[Trial, ...]


def make_listening(runs: Sequence[RunResults]) -> Listening:
    """Cards and trials of one or several runs; the same clips of all runs come together.

    Raises:
        ReportError: If an audio file cannot be read.
    """
    studios = _studios(runs)
    keys = dict.fromkeys(clip.key for run in runs for clip in run.listening.clips)
    found = [[_clip_of(run, key) for run in runs] for key in keys]
    clips = tuple(_clip_card(number, runs, clips, studios) for number, clips in enumerate(found))
    samples = tuple(
        _sample_card(number, runs, studios) for number, run in enumerate(runs) if run.listening.samples
    )
    pieces = tuple(
        _piece_card(f"p{index}-run{number}", runs, number, piece, studios)
        for number, run in enumerate(runs)
        for index, piece in enumerate(run.listening.pieces)
    )
    return Listening(
        clips, samples, pieces, (*_clip_trials(clips, runs), *_sample_trials(clips, samples, runs))
    )


def _studios(runs: Sequence[RunResults]) -> list[Studio]:
    """One for each run, with one reference: the loudest moment of the originals, else of what was made."""
    loudest = [
        loudest_db([read_audio(run.root, name) for name in names], run.listening.sample_rate)
        for run in runs
        if (names := _reference_names(run.listening))
    ]
    reference = max(loudest, default=0.0)
    return [Studio(run.listening.sample_rate, reference) for run in runs]


def _reference_names(listening: ListeningSet) -> list[str]:
    """Files that set the scale of the pictures."""
    made = [*listening.samples, *(piece.audio for piece in listening.pieces)]
    return [clip.original for clip in listening.clips] or [name for name in made if name is not None]


def _clip_of(run: RunResults, key: tuple[str, float, float]) -> Clip | None:
    return next((clip for clip in run.listening.clips if clip.key == key), None)


def _clip_card(
    number: int, runs: Sequence[RunResults], clips: Sequence[Clip | None], studios: Sequence[Studio]
) -> Card:
    having = [index for index, clip in enumerate(clips) if clip is not None]
    best = max(having, key=lambda index: runs[index].listening.sample_rate)  # the fullest original
    clip = clips[best]
    assert clip is not None
    original = read_audio(runs[best].root, clip.original)
    tracks = [studios[best].track(f"c{number}-original", "Original", None, original)]
    for index in having:
        name = clips[index].reconstruction  # type: ignore[union-attr]
        if name is not None:
            label = runs[index].label if len(runs) > 1 else clip.made
            waveform = read_audio(runs[index].root, name)
            tracks.append(studios[index].track(f"c{number}-run{index}", label, index, waveform))
    notes = next((clips[index].notes for index in having if clips[index].notes is not None), None)  # type: ignore[union-attr]
    return Card(
        id=f"c{number}",
        title=clip.title,
        subtitle=clip.subtitle,
        place=f"{clock(clip.start_seconds)} to {clock(clip.start_seconds + clip.seconds)}",
        tracks=tuple(tracks),
        roll=piano_roll(notes, clip.seconds) if notes else None,
    )


def _sample_card(number: int, runs: Sequence[RunResults], studios: Sequence[Studio]) -> Card:
    run = runs[number]
    tracks = tuple(
        studios[number].track(
            f"s{index}-run{number}", f"Sample {index + 1}", number, read_audio(run.root, name)
        )
        for index, name in enumerate(run.listening.samples)
    )
    title = run.label if len(runs) > 1 else "From random numbers alone"
    return Card(f"samples{number}", title, "", "", tracks)


def _piece_card(
    card_id: str, runs: Sequence[RunResults], number: int, piece: Piece, studios: Sequence[Studio]
) -> Card:
    tracks = []
    if piece.audio is not None:
        waveform = read_audio(runs[number].root, piece.audio)
        tracks.append(studios[number].track(f"{card_id}-played", "Played", number, waveform))
    subtitle = runs[number].label if len(runs) > 1 else ""
    return Card(card_id, piece.title, subtitle, "", tuple(tracks), piano_roll(piece.notes, piece.seconds))


def _clip_trials(cards: Sequence[Card], runs: Sequence[RunResults]) -> list[Trial]:
    trials = []
    for card in cards:
        stimuli = tuple(
            Stimulus(_system(track, runs, track.label.lower()), track.id, track.level_db)
            for track in card.tracks
        )
        if len(stimuli) > 1:
            trials.append(Trial("reconstructions", f"{card.title}, {card.place}", stimuli))
    return trials


def _sample_trials(clips: Sequence[Card], samples: Sequence[Card], runs: Sequence[RunResults]) -> list[Trial]:
    """The first sample of each run and a real clip, the second of each and another real clip, and so on."""
    trials = []
    for number in range(max((len(card.tracks) for card in samples), default=0)):
        tracks = [card.tracks[number] for card in samples if number < len(card.tracks)]
        if clips:
            tracks.append(clips[number % len(clips)].tracks[0])
        stimuli = tuple(
            Stimulus(_system(track, runs, "sample"), track.id, track.level_db) for track in tracks
        )
        if len(stimuli) > 1:
            trials.append(Trial("samples", f"sample {number + 1}", stimuli))
    return trials


def _system(track: Track, runs: Sequence[RunResults], alone: str) -> str:
    if track.run is None:
        return ORIGINAL
    return runs[track.run].label if len(runs) > 1 else alone


def clock(seconds: float) -> str:
    """Minutes and seconds: 75.2 is 1:15."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
