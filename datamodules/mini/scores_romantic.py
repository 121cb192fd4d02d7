"""Scores of the mini release from 1830 to 1840: Schumann, Chopin. All are in the public domain."""

from fractions import Fraction

from datamodules.mini.score import Score, joined, repeated

# --- R. Schumann, Träumerei -------------------------------------------------------------------------------
_REVERIE_OPENING = "f4/2 e4/8 f4 a4 c5 | f5/2 e5/8 d5 c5 f4 | g4 a4 bb4 d5 f4 g4 a4 c5 | g4/2. c4/4"
_REVERIE_CHORDS = (
    "r/4 c3+a3+c4/2. | r/4 f3+bb3+d4 g3+bb3 a3+c4 | r/4 g3+bb3+d4 r/4 f3+a3+c4 | r/4 e3+g3+c4 e3+g3+bb3/2"
)

SCHUMANN = Score(
    composer="Robert Schumann",
    title="Kinderszenen, Op. 15, No. 7, Träumerei",
    split="validation",
    year=2013,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=73.0,
    voices=(
        joined(
            "c4/4",
            _REVERIE_OPENING,
            "f4/2 e4/8 f4 a4 c5 | a5/2 g5/8 f5 e5 d5 | e5 f5 d5 e5 c5 d5 b4 g4 | c5/2. c4/4",
            "f4/2 e4/8 f4 a4 c5 | a5/2 g5/8 f5 d5 bb4 | a4 f4 g4 a4 g4/4 e4 | f4/2.",
        ),
        joined(
            "r/4",
            _REVERIE_CHORDS,
            "r/4 c3+a3+c4/2. | r/4 a3+d4+f4 f3+b3/2 | e3+g3/4 d3+g3 e3+a3 f3+b3 | r/4 e3+g3 e3+bb3/2",
            "r/4 c3+a3+c4/2. | r/4 f3+a3+d4 g3+bb3+d4/2 | f3+a3 e3+bb3 | f3+a3/2.",
        ),
        joined(
            "r/4",
            "f2/1 | bb2/2 c3/4 f2 | g2/2 c3 | c2+c3/1",
            "f2/1 | d3/2 g2 | c3/4 b2 a2 g2 | c2+c3/1",
            "f2/1 | d3/2 g2 | c3 c2 | f2+c3/2.",
        ),
    ),
    dynamics=((0, "p"), (2, "mp"), (4, "p"), (6, "mf"), (8, "p"), (10, "mf"), (12, "pp")),
    pickup=Fraction(1, 4),
    pedal=Fraction(1, 2),
    rubato=0.10,
    accompaniment=0.74,
    peak_dbfs=-8.0,
)


# --- F. Chopin, Nocturne in E-flat ------------------------------------------------------------------------
def _nocturne_bass(*beats: str) -> str:
    """Beats of three eighths: the bass, then its chord twice."""
    return " ".join(f"{bass}/8 {chord} {chord}" for bass, chord in (beat.split() for beat in beats))


_NOCTURNE_HARMONY = joined(
    _nocturne_bass("eb2 g3+bb3+eb4", "eb3 g3+bb3+eb4", "d2 ab3+bb3+f4", "eb2 g3+bb3+eb4"),
    _nocturne_bass("e2 g3+bb3+c4", "c2 bb3+c4+e4", "f2 ab3+c4+f4", "f3 ab3+c4+f4"),
    _nocturne_bass("bb1 ab3+bb3+d4", "b1 g3+d4+f4", "c2 g3+c4+eb4", "a1 gb3+c4+eb4"),
)

CHOPIN_NOCTURNE = Score(
    composer="Frédéric Chopin",
    title="Nocturne in E-flat Major, Op. 9, No. 2",
    split="test",
    year=2018,
    sample_rate=48000,
    meter=Fraction(3, 2),
    quarters_per_minute=73.0,
    voices=(
        joined(
            "bb4/8",
            "g5/2 f5/8 g5 f5/4. eb5/4 bb4/8 | g5/4 c5/8 c6/4 g5/8 bb5/4. ab5/4 g5/8",
            "f5/4. g5/4 d5/8 eb5/4. c5 | bb4/8 d6 c6 bb5/16 ab5 g5 ab5 c5 d5 eb5/4. r/4 bb4/8",
            "g5/2 f5/16 g5 f5 e5 f5/4 g5/8 eb5/4 bb4/8",
            "g5/8 b4/16 c5 db5 c5 b4 c5 c6/8 g5 bb5/4. ab5/4 g5/8",
            "f5/8 g5/16 f5 e5 f5 g5/4 d5/8 eb5/4. c5 | bb4/8 d6 c6 bb5/16 ab5 g5 ab5 c5 d5 eb5/2.",
        ),
        joined(
            "r/8",
            _NOCTURNE_HARMONY,
            _nocturne_bass("bb1 ab3+d4", "bb2 ab3+d4", "eb2 g3+bb3+eb4", "eb3 g3+bb3"),
            _NOCTURNE_HARMONY,
            f"{_nocturne_bass('bb1 ab3+d4', 'bb2 ab3+d4')} eb2/8 g3+bb3+eb4 g4+bb4 eb2+bb2+g3/4.",
        ),
    ),
    dynamics=(
        (0, "p"),
        (1.5, "mp"),
        (3.3, "mf"),
        (4, "p"),
        (5.5, "mf"),
        (7.3, "f"),
        (7.6, "mp"),
        (8, "pp"),
    ),
    pickup=Fraction(1, 8),
    pedal=Fraction(3, 8),
    phrase_bars=2,
    rubato=0.09,
    accompaniment=0.66,
    peak_dbfs=-5.0,
)

# --- F. Chopin, Prelude in E minor ------------------------------------------------------------------------
CHOPIN_PRELUDE_4 = Score(
    composer="Frédéric Chopin",
    title="Prelude Op. 28 No. 4 in E Minor",
    split="train",
    year=2006,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=76.0,
    voices=(
        joined(
            "b3/8. b4/16",
            "b4/2. c5/4 | b4/2. c5/4 | b4/2. bb4/4 | a4/2. b4/4 | a4/2. b4/4 | a4/2. b4/4",
            "a4/2. g#4/4 | a4/8 b4 d5 c5 e4/4 a4 | f#4/2. a4/4 | f#4/2. a4/4 | f#4/2 g4/8 f#4 c5 b4",
            "f#4/2 d#4/8 e4/4. | e4/1",
        ),
        joined(
            "r/4",
            f"{repeated('g3+b3+e4/8', 8)} | {repeated('f#3+a3+e4', 4)} {repeated('f#3+a3+d#4', 4)}",
            f"{repeated('f3+a3+d#4/8', 4)} {repeated('f3+a3+d4', 2)} {repeated('f3+g#3+d4', 2)}",
            f"{repeated('e3+g#3+d4/8', 2)} {repeated('e3+g3+d4', 4)} {repeated('e3+g3+c#4', 2)}",
            f"{repeated('e3+g3+c#4/8', 4)} {repeated('e3+g3+c4', 4)}",
            f"{repeated('e3+f#3+c4/8', 4)} {repeated('d#3+f#3+c4', 4)}",
            f"{repeated('d3+f#3+c4/8', 4)} {repeated('d3+f3+c4', 2)} {repeated('d3+f3+b3', 2)}",
            f"{repeated('c3+e3+a3/8', 8)} | {repeated('b2+d#3+a3', 8)} | %",
            f"{repeated('b2+e3+g3/8', 4)} {repeated('b2+d#3+a3', 4)}",
            f"{repeated('b2+d#3+a3/8', 5)} b2+e3+g3/4. | e2+b2+e3+g3+b3/1",
        ),
    ),
    dynamics=((0, "p"), (4, "p"), (7, "mp"), (8, "mf"), (9, "p"), (11, "mp"), (14, "pp")),
    pickup=Fraction(1, 4),
    pedal=Fraction(1, 4),
    rubato=0.08,
    accompaniment=0.72,
    peak_dbfs=-9.0,
)

# --- F. Chopin, Prelude in C minor ------------------------------------------------------------------------
CHOPIN_PRELUDE_20 = Score(
    composer="Frédéric Chopin",
    title="Prelude Op. 28 No. 20 in C Minor",
    split="train",
    year=2015,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=60.0,
    voices=(
        joined(
            "g4+c5+eb5+g5/4 ab4+c5+f5+ab5 g4+b4+d5+g5/8. g4+b4+d5+f5/16 g4+c5+eb5/4",
            "eb4+ab4+c5+eb5/4 f4+ab4+db5+f5 eb4+g4+db5+eb5/8. eb4+g4+bb4+db5/16 eb4+ab4+c5/4",
            "f4+g4+b4+f5/4 e4+g4+c5+e5 f4+ab4+c5+f5/8. f4+ab4+c5+eb5/16 f4+ab4+b4+d5/4",
            "f#4+a4+c5+d5/4 g4+b4+d5 f#4+a4+c5+d5/8. f#4+a4+c5/16 g4+b4/4",
            "eb4+g4+c5+eb5/4 d4+g4+b4+d5 eb4+g4+c5+eb5/8. eb4+g4+c5+d5/16 f#4+a4+c5/4",
            "f4+ab4+c5/4 eb4+g4+c5 d4+f#4+c5/8. d4+f#4+a4/16 d4+g4+b4/4",
            "eb4+g4+c5+eb5/4 eb4+ab4+c5+eb5 f4+ab4+db5/8. f4+ab4+db5+f5/16 f4+g4+b4+d5/4",
            "eb4+g4+c5/4 eb4+ab4+c5 db4+f4+ab4/8. d4+f4+g4/16 d4+g4+b4/4 | c4+eb4+g4+c5/1",
        ),
        joined(
            "c2+c3/4 f1+f2 g1+g2/8. g1+g2/16 c2+c3/4 | ab1+ab2 db2+db3 eb2+eb3/8. eb2+eb3/16 ab1+ab2/4",
            "g1+g2/4 c2+c3 f1+f2/8. f1+f2/16 g1+g2/4 | d2+d3 g1+g2 d2+d3/8. d2+d3/16 g1+g2/4",
            "c2+c3/4 b1+b2 bb1+bb2/8. bb1+bb2/16 a1+a2/4 | ab1+ab2 g1+g2 f#1+f#2/8. f#1+f#2/16 g1+g2/4",
            "c2+c3/4 ab1+ab2 f1+f2/8. f1+f2/16 g1+g2/4 | c2+c3 ab1+ab2 db2+db3/8. g1+g2/16 g1+g2/4",
            "c1+c2+g2/1",
        ),
    ),
    dynamics=((0, "ff"), (3.9, "fff"), (4, "p"), (5.9, "p"), (7, "pp"), (7.9, "mp"), (8, "p")),
    pedal=Fraction(1, 4),
    rubato=0.05,
    accompaniment=0.92,
    peak_dbfs=-1.5,
)

ROMANTIC = (SCHUMANN, CHOPIN_NOCTURNE, CHOPIN_PRELUDE_4, CHOPIN_PRELUDE_20)
