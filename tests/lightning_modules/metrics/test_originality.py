"""Passages shared and passages repeated, by hand."""

import numpy as np

from lightning_modules.audio.notes import HeardNotes
from lightning_modules.metrics.originality import longest_shared_run, repeated_share, steps_of


def melody(pitches: list[int], gap: float = 0.5, start: float = 0.0) -> HeardNotes:
    return HeardNotes.from_rows(
        [(start + gap * n, p, start + gap * n + 0.1, 64) for n, p in enumerate(pitches)]
    )


def test_steps_are_the_same_in_another_key_and_a_little_faster():
    notes = melody([60, 64, 67, 60])
    assert steps_of(notes) == [(4, 4), (3, 4), (-7, 4)]
    assert steps_of(melody([65, 69, 72, 65], gap=0.46)) == steps_of(notes)
    assert steps_of(melody([60, 64], gap=0.01)) == [(4, 0)]
    assert steps_of(melody([60])) == []


def test_the_longest_run():
    known = [[(1, 1), (2, 2), (3, 3), (4, 4)], [(9, 0), (9, 1)]]
    assert longest_shared_run([(7, 7), (2, 2), (3, 3), (4, 4), (2, 2)], known) == 3
    assert longest_shared_run([(9, 1), (9, 0)], known) == 1
    assert longest_shared_run([(5, 5)], known) == 0
    assert longest_shared_run([], known) == 0
    assert longest_shared_run(known[0], known) == 4
    random = np.random.default_rng(0)
    first, second = ([(int(a), 0) for a in random.integers(0, 4, 300)] for _ in range(2))
    plain = max(
        length
        for length in range(20)
        if any(first[i : i + length] == second[j : j + length] for i in range(280) for j in range(280))
    )
    assert longest_shared_run(first, [second]) == plain


def test_repeats():
    figure = [60, 62, 64, 65, 67, 69, 71, 73]
    assert repeated_share(melody(figure * 8)) == 1.0
    assert repeated_share(melody(np.random.default_rng(0).integers(40, 90, 60).tolist())) == 0.0
    assert repeated_share(melody(figure[:3])) == 0.0
    # one passage of 16 notes twice, and others between: windows of 8 notes begin at 9 places of each
    random = np.random.default_rng(0).integers(40, 90, 200).tolist()
    notes = melody([*random[:16], *random[100:140], *random[:16], *random[140:160]])
    assert repeated_share(notes) == 2 * 9 / len([n for n in notes.onset if n + 4.0 <= notes.onset[-1]])
