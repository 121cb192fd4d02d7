"""The page of a model: its data and their licence."""

import pytest

from lightning_modules.checkpoints.card import model_card

CONTENT = {"module": {"class_path": "lightning_modules.VAE"}, "sample_rate": 16_000, "channels": 2}


@pytest.mark.parametrize(
    ("release", "text", "licence"),
    [
        ("v3.0.0", "CC BY-NC-SA 4.0", "license: cc-by-nc-sa-4.0"),
        ("mini", "public-domain music", None),
        ("folder", "ask whoever made the model", None),
    ],
)
def test_the_licence_follows_the_data(release: str, text: str, licence: str | None) -> None:
    card = model_card("user/piano", {**CONTENT, "data": {"release": release}}, None)
    assert text in card and ("license:" in card) == (licence is not None)
    assert "A model of piano sound: VAE, stereo at 16,000 Hz.\n" in card
    assert "Scores" not in card


def test_what_a_file_says_is_no_markup() -> None:
    """The data's name comes from a checkpoint, scores from a run that may be another's."""
    tag = "<script>alert(1)</script>"
    data = {"release": f"v3.0.0 {tag}", "train_performances": tag}
    score = {"name": f"a`|{tag}", "of": "samples", "value": 1.0, "unit": f"|{tag}\n"}
    card = model_card("piano", {**CONTENT, "data": data}, 1, [score])
    assert "script>" not in card and "ask whoever made the model" in card
    (row,) = [line for line in card.splitlines() if line.startswith("| `a")]
    assert row.count("|") == 3


def test_scores_are_a_table_with_a_column_for_each_that_is_judged() -> None:
    distance = {"name": "log_mel_distance", "unit": "dB", "better": "lower"}
    scores = [
        {**distance, "of": "samples", "value": 4, "low": 3.5, "high": 4.5},
        {**distance, "of": "reconstructions", "value": 1.96713},
        {"name": "rate", "of": "floor", "value": 0.5, "unit": ""},
        {"name": "undefined", "of": "floor", "value": None},
    ]
    card = model_card("piano", CONTENT, 1200, scores)
    assert (
        "| score | reconstructions | samples | real clips |\n"
        "| --- | --- | --- | --- |\n"
        "| `log_mel_distance` ↓ | 1.967 dB | 4 ± 0.5 dB |  |\n"
        "| `rate` |  |  | 0.5 |\n"
        "\n↓ lower"
    ) in card
    assert "trained for 1,200 steps." in card


def test_commands_of_a_repository_begin_with_fetching_it() -> None:
    commands = ["render {} piece.mid"]
    card = model_card("user/piano", CONTENT, None, commands=commands)
    assert "```sh\nhf download user/piano --local-dir piano\nlightning render piano piece.mid\n```\n" in card
    assert "```sh\nlightning render piano piece.mid\n```\n" in model_card("piano", CONTENT, 1, (), commands)
    assert "```sh" not in model_card("piano", CONTENT, None)
