"""A causal Transformer over tokens, with cached keys and values for one token at a time.

Pre-normalised blocks (Xiong et al. 2020) with RMS norms, rotary positions (Su et al. 2021), attention by
torch's fused kernel, and one table for the tokens' embeddings and the scores (Press and Wolf 2017).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.batch import END
from lightning_modules.errors import OptionError
from lightning_modules.networks.interval_attention import NUM_PITCHES, IntervalAttention
from lightning_modules.networks.rotary import later_mask, rotary_angles, rotated

FIRST_PITCH_TOKEN = END + 1
"""The 88 pitches follow the special tokens."""


class NoteTransformer(nn.Module):
    """Tokens to scores of the next token.

    Args:
        vocabulary_size: Number of tokens V.
        width: Hidden size H.
        layers: Number of blocks.
        heads: Attention heads; an even number of channels in each.
        dropout: Share of activations that training leaves out.
        intervals: Whether `IntervalAttention` adds to the scores of pitches, which must be the 88 tokens from
            `FIRST_PITCH_TOKEN` on.

    Raises:
        OptionError: If `width` does not divide into heads of an even size, or there is no room for pitches.
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int = 192,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
        intervals: bool = False,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise OptionError(
                f"NoteTransformer: width is {width} and heads is {heads}",
                "make width a multiple of twice the heads",
            )
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.intervals = intervals
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.interval_attention: IntervalAttention | None = None
        if intervals:
            if vocabulary_size < FIRST_PITCH_TOKEN + NUM_PITCHES:
                raise OptionError(
                    f"NoteTransformer: a vocabulary of {vocabulary_size} tokens has no room for pitches",
                    "set intervals to false",
                )
            self.interval_attention = IntervalAttention(width, heads, FIRST_PITCH_TOKEN)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score what comes next after each token.

        Args:
            tokens: (B, S) int64.
            cache: What an earlier call returned, for the tokens before these; None for none.

        Returns:
            Logits (B, S, V) float32, and the keys and values of all P tokens up to now,
            (layers, 2, B, heads, P, H / heads); with `intervals` there is one more layer.
        """
        hidden = self.drop(self.embedding(tokens))  # (B, S, H)
        past = 0 if cache is None else cache.shape[4]
        cosine, sine = rotary_angles(past, tokens.shape[1], self.width // self.heads, hidden)
        caches = []
        for index, block in enumerate(self.blocks):
            hidden, own = block(hidden, cosine, sine, None if cache is None else cache[index])
            caches.append(own)
        hidden = self.norm(hidden)
        scores = functional.linear(hidden, self.embedding.weight).float()
        if self.interval_attention is not None:
            part = self.interval_attention
            of_pitches, own = part(tokens, hidden, cosine, sine, None if cache is None else cache[-1])
            caches.append(own)
            after = self.vocabulary_size - FIRST_PITCH_TOKEN - NUM_PITCHES
            scores = scores + functional.pad(of_pitches, (FIRST_PITCH_TOKEN, after))
        return scores, torch.stack(caches)

    def empty_cache(self, batch: int) -> Tensor:
        """The cache (layers, 2, B, heads, 0, H / heads) before the first token, for B pieces."""
        shape = (self.layers + self.intervals, 2, batch, self.heads, 0, self.width // self.heads)
        return self.embedding.weight.new_empty(shape)


class TransformerBlock(nn.Module):
    """Self-attention and a network of each position, each added to what came in.

    Args:
        width: Hidden size H.
        heads: Attention heads.
        dropout: Share of activations that training leaves out.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.RMSNorm(width)
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.norm = nn.RMSNorm(width)
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.outer = nn.Linear(4 * width, width, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, hidden: Tensor, cosine: Tensor, sine: Tensor, cache: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(B, S, H), and keys and values of earlier positions -> (B, S, H), and those of all of them."""
        attended, cache = self.attend(self.attention_norm(hidden), cosine, sine, cache)
        hidden = hidden + self.drop(attended)
        made = self.outer(functional.gelu(self.inner(self.norm(hidden))))
        return hidden + self.drop(made), cache

    def attend(
        self, hidden: Tensor, cosine: Tensor, sine: Tensor, cache: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Each position looks at itself and at those before it; shapes as in `forward`."""
        batch, length, width = hidden.shape
        split = self.projections(hidden).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (B, heads, S, D) each
        query, key = rotated(query, cosine, sine), rotated(key, cosine, sine)
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None
            if cache is None or length == 1
            else later_mask(length, key.shape[2], query.device),
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=cache is None and length > 1,
        )
        joined = attended.transpose(1, 2).reshape(batch, length, width)
        return self.output(joined), torch.stack([key, value])
