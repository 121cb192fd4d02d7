"""Which pitches were heard, and what their intervals say of the next pitch: the same in every key."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.rotary import later_mask, rotated

NUM_PITCHES = 88
OCTAVE = 12
SPAN = 3 * OCTAVE
GAIN = 16.0
"""Of the weights: what is heard is spread over many pitches, each a small part of 1."""


class IntervalAttention(nn.Module):
    """Scores of the next pitch from its intervals to the pitches that attention finds in the past.

    Each head attends to the pitches so far, which gives a distribution over the keys of the piano. A weight
    for each interval of up to three octaves, and one for each interval of pitch classes, turn these
    distributions into scores. Weights belong to intervals and not to keys: where attention is the same,
    transposing the past transposes the scores. So a few thousand notes teach it to stay in a key.

    Args:
        width: Hidden size H; not less than the 88 pitches, whose places in the cache it has.
        heads: Distributions over the past.
        first_pitch: Token of the lowest pitch, A0; the other 87 follow it.

    Raises:
        OptionError: If `width` is too small.
    """

    def __init__(self, width: int, heads: int, first_pitch: int) -> None:
        super().__init__()
        if width < NUM_PITCHES:
            raise OptionError(
                f"IntervalAttention: width is {width}, less than the {NUM_PITCHES} pitches",
                "give a larger width",
            )
        self.width = width
        self.heads = heads
        self.first_pitch = first_pitch
        self.projections = nn.Linear(width, 2 * width, bias=False)
        self.interval_weight = nn.Parameter(torch.zeros(heads, 2 * SPAN + 1))
        self.class_weight = nn.Parameter(torch.zeros(heads, OCTAVE))

    def forward(
        self, tokens: Tensor, hidden: Tensor, cosine: Tensor, sine: Tensor, cache: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Score the pitches after each token.

        Args:
            tokens: (B, S) int64.
            hidden: (B, S, H), what the layers below made of them.
            cosine: (S, D / 2) of `rotary_angles`.
            sine: (S, D / 2).
            cache: (2, B, heads, P - S, D), what an earlier call returned, or None.

        Returns:
            Scores (B, S, 88) float32, and keys and one-hot pitches of all P tokens, (2, B, heads, P, D).
        """
        batch, length, width = hidden.shape
        split = self.projections(hidden).view(batch, length, 2, self.heads, width // self.heads)
        query, key = (rotated(each, cosine, sine) for each in split.permute(2, 0, 3, 1, 4))
        value = self._pitches(tokens).to(key.dtype)
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        heard = self._heard(query, key, value, later_mask(length, key.shape[2], tokens.device))
        return heard.float().flatten(2) @ self.weights().flatten(0, 1), torch.stack([key, value])

    def weights(self) -> Tensor:
        """(heads, 88, 88) float32: what a pitch heard (second) adds to the score of each pitch (last)."""
        pitch = torch.arange(NUM_PITCHES, device=self.class_weight.device)
        interval = pitch[None, :] - pitch[:, None]
        near = self.interval_weight[:, (interval + SPAN).clamp(0, 2 * SPAN)] * (interval.abs() <= SPAN)
        return (GAIN * (near + self.class_weight[:, interval % OCTAVE])).float()

    def _pitches(self, tokens: Tensor) -> Tensor:
        """(B, S) -> (B, heads, S, D): one-hot, the pitches counted through the channels of all heads."""
        pitch = torch.arange(self.width, device=tokens.device)
        is_own = (tokens[..., None] == pitch + self.first_pitch) & (pitch < NUM_PITCHES)  # (B, S, H)
        return is_own.unflatten(2, (self.heads, self.width // self.heads)).transpose(1, 2)

    def _heard(self, query: Tensor, key: Tensor, value: Tensor, may_look: Tensor) -> Tensor:
        """(B, S, heads, 88): how much each head attends to each pitch; the rest, to the first position."""
        pitches = value.transpose(1, 2).flatten(2)[..., :NUM_PITCHES]  # (B, P, 88)
        is_first = torch.arange(pitches.shape[1], device=value.device) == 0
        mask = may_look & ((pitches.sum(-1) > 0) | is_first)[:, None, None, :]  # (B, 1, S, P)
        shared = pitches[:, None].expand(-1, self.heads, -1, -1)
        return functional.scaled_dot_product_attention(query, key, shared, attn_mask=mask).transpose(1, 2)
