"""The page of a model: its data and their licence."""

import pytest

from lightning_modules.checkpoints.card import model_card


@pytest.mark.parametrize(
    ("release", "text", "licence"),
    [
        ("v3.0.0", "CC BY-NC-SA 4.0", "license: cc-by-nc-sa-4.0"),
        ("mini", "public-domain music", None),
        ("folder", "ask whoever made the model", None),
    ],
)
def test_the_licence_follows_the_data(release: str, text: str, licence: str | None) -> None:
    content = {"module": {"class_path": "lightning_modules.VAE"}, "sample_rate": 16_000, "channels": 2}
    card = model_card("user/piano", {**content, "data": {"release": release}}, None)
    assert text in card and ("license:" in card) == (licence is not None)
    assert "VAE: 16,000 Hz, 2 channel(s), an unknown number of steps." in card
    assert "Scores" not in card
