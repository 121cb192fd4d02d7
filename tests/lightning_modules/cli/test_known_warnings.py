"""Only warnings that are known are silenced, once each."""

import logging
import warnings

import pytest

from lightning_modules.cli.known_warnings import silence_known_warnings


@pytest.mark.parametrize(
    ("text", "category", "is_shown"),
    [
        ("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, False),
        ("The 'train_dataloader' does not have many workers which may be a bottleneck.", UserWarning, False),
        ("Checkpoint directory /runs/x exists and is not empty.", UserWarning, False),
        ("The given buffer is not writable, and PyTorch does not support", UserWarning, False),
        ("No complete tensor found in the group! Returning the first one.", UserWarning, False),
        ("The 'train_dataloader' does not have many workers which may be a bottleneck.", FutureWarning, True),
        ("Checkpoint directory /runs/x cannot be written.", UserWarning, True),
    ],
)
def test_a_warning_is_known_by_text_and_kind(text: str, category: type[Warning], is_shown: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        silence_known_warnings()
        warnings.warn(text, category, stacklevel=1)
    assert bool(caught) == is_shown


def test_who_debugs_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTNING_DEBUG", "1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        silence_known_warnings()
        warnings.warn("The given buffer is not writable", UserWarning, stacklevel=1)
    assert caught


def test_advertisements_are_dropped_and_all_else_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        silence_known_warnings()
        silence_known_warnings()
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    assert sum(type(each).__name__ == "_WithoutTips" for each in logger.filters) == 1
    with caplog.at_level(logging.INFO, logger=logger.name):
        logger.addHandler(caplog.handler)
        logger.info("💡 Tip: For seamless cloud logging and experiment tracking, try litlogger")
        logger.info("GPU available: False")
        logger.removeHandler(caplog.handler)
    assert set(caplog.messages) == {"GPU available: False"}


def test_packages_that_no_model_uses_are_not_missed_when_torch_comes_later(caplog):
    name = "torch.onnx._internal.exporter._registration"
    silence_known_warnings()
    logging.getLogger(name).setLevel(logging.WARNING)  # as torch does when it is imported
    logging.getLogger(name).warning("torchvision is not installed. Skipping torchvision::nms")
    assert not caplog.records
