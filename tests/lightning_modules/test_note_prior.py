"""The note prior as a LightningModule: its likelihood by hand, that it learns, that its checkpoint opens."""

import functools
import math

import pytest
import torch
from lightning.pytorch import Trainer

from datamodules import MaestroNotesDataModule
from datamodules.batch import BEGIN, TokenBatch
from lightning_modules import NotePrior, load_module
from lightning_modules.base import can_compose, can_sample
from lightning_modules.errors import OptionError
from lightning_modules.networks import NoteTransformer

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def make_module(size: int = 411, window: int = 32) -> NotePrior:
    torch.manual_seed(0)
    network = NoteTransformer(size, width=32, layers=1, heads=2, dropout=0.0)
    return NotePrior(network, window, functools.partial(torch.optim.AdamW, lr=1e-2))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> MaestroNotesDataModule:
    return MaestroNotesDataModule(
        cache_dir=tmp_path_factory.mktemp("notes"), window_tokens=32, batch_size=16, progress=False
    )


def test_nats_by_hand() -> None:
    """Even odds: log V for each token that counts, and that divided by the notes among them."""
    module = make_module(size=8)
    module.network.embedding.weight.data.zero_()
    tokens = torch.tensor([[BEGIN, 3, 4, 5, 2], [BEGIN, 3, 3, 0, 0]])
    batch = TokenBatch(tokens, torch.tensor([1, 0]), torch.tensor([0, 1]), tokens == 3)
    assert module.training_step(batch, 0).item() == pytest.approx(math.log(8))
    logged: dict[str, tuple[float, int]] = {}
    module.log_evaluation = lambda figures, count: logged.update(  # type: ignore[method-assign]
        {name: (value.item(), count) for name, value in figures.items()}
    )
    module.validation_step(batch, 0)
    assert logged["val/nats_per_token"] == (pytest.approx(math.log(8)), 5)
    assert logged["val/nats_per_note"] == (pytest.approx(5 * math.log(8) / 2), 2)  # two of three notes count


def test_a_window_without_notes_is_no_nan() -> None:
    module = make_module(size=8)
    tokens = torch.tensor([[BEGIN, 4, 4]])
    module.log_evaluation = lambda figures, count: logged.append((figures, count))  # type: ignore[method-assign]
    logged: list = []
    module.test_step(TokenBatch(tokens, torch.tensor([0]), torch.tensor([0]), tokens == 3), 0)
    ((figures, count),) = logged
    assert list(figures) == ["test/nats_per_token"] and count == 2


def test_it_learns_and_its_checkpoint_opens(data, tmp_path) -> None:
    module = make_module()
    trainer = Trainer(
        max_steps=60, accelerator="cpu", enable_checkpointing=False, limit_val_batches=0, **QUIET
    )
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    opened = load_module(tmp_path / "a.ckpt")
    assert isinstance(opened, NotePrior) and not can_sample(opened)
    assert (opened.window_tokens, opened.network.vocabulary_size, opened.trained_steps) == (32, 411, 60)
    (found,) = trainer.test(opened, data, verbose=False)
    assert found["test/nats_per_token"] < math.log(411) - 1.5
    # means over batches of any size are those of the whole split
    pieces = data.pieces_of("test").values()
    notes = sum(int(data.vocabulary.is_note[piece].sum()) for piece in pieces)
    tokens = sum(len(piece) + 1 for piece in pieces)
    ratio = found["test/nats_per_note"] / found["test/nats_per_token"]
    assert ratio == pytest.approx(tokens / notes, rel=1e-5)


def test_a_piece_of_given_length_or_of_given_tokens(data) -> None:
    data.prepare_data()
    module = make_module().eval()
    piece = list(module.compose(data.token_reader(), 30.0, 0))
    assert piece == list(module.compose(data.token_reader(), 30.0, 0))
    assert piece and max(event.tick for event in piece) < 3000
    reader, read = data.token_reader(), []
    take = reader.read
    reader.read = lambda token: read.append(token) or take(token)
    shorter = list(module.compose(reader, 30.0, 0, most_tokens=20))
    assert len(read) == 20 and shorter == piece[: len(shorter)] and len(shorter) < len(piece)
    with pytest.raises(OptionError, match="knows 20 tokens, and the notes have 411"):
        make_module(size=20).compose(data.token_reader(), 1.0, 0)
    assert can_compose(module) and not can_compose(module.network)
