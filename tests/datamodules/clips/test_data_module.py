"""The common part of the data modules of sound; most of it is tested through `MaestroDataModule`."""

from pathlib import Path

import pytest

from datamodules.cache.preparation import Preparation
from datamodules.clips.data_module import ClipDataModule
from datamodules.errors import CacheError, OptionError


class OwnDataModule(ClipDataModule):
    """As somebody else's data module would be made."""

    how_to_widen = "add some"

    def __init__(self, preparation: Preparation) -> None:
        super().__init__(
            preparation,
            "mine",
            clip_samples=4000,
            eval_clip_seconds=1.0,
            batch_size=4,
            eval_batch_size=2,
            clips_per_epoch=None,
            gain_db=None,
            flip_polarity=False,
            workers="auto",
            prefetch_batches=None,
            pin_memory="auto",
            with_notes=False,
            seed=0,
        )


def test_recordings_become_clips(tiny_release: Path, tmp_path: Path) -> None:
    preparation = Preparation("v3.0.0", tiny_release, tmp_path / "cache", splits=["train"], progress=False)
    module = OwnDataModule(preparation)
    with pytest.raises(CacheError, match="not set up"):
        _ = module.cache
    module.prepare_data()
    module.setup("fit")
    assert len(module.train_dataloader()) == 9  # 9 s at 16 kHz in clips of 4,000, 4 to a batch
    assert module.identity["release"] == "mine"
    with pytest.raises(OptionError, match=r"part of mine has no .*'validation'\n.*add some, or switch"):
        module.val_dataloader()
