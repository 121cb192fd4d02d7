import torch

from datamodules.batch import BEGIN, END, PADDING, PcmBatch, TokenBatch


def test_conversion_scales_by_full_scale_and_gain() -> None:
    pcm = torch.tensor([[[16384, -32768]], [[8192, 100]]], dtype=torch.int16)  # (B, C, T)
    index = torch.tensor([3, 5])
    batch = PcmBatch(pcm, torch.tensor([1.0, -0.5]), index, index * 2).to_batch()
    expected = torch.tensor([[[0.5, -1.0]], [[-0.125, -50 / 32768]]])
    assert batch.waveform.dtype == torch.float32
    torch.testing.assert_close(batch.waveform, expected, rtol=0, atol=0)
    assert batch.performance.tolist() == [3, 5]
    assert batch.start_sample.tolist() == [6, 10]


def test_gain_is_limited_to_full_scale() -> None:
    pcm = torch.tensor([[[30000, -30000]]], dtype=torch.int16)
    zero = torch.zeros(1, dtype=torch.int64)
    assert PcmBatch(pcm, torch.tensor([2.0]), zero, zero).to_batch().waveform.tolist() == [[[1.0, -1.0]]]


def test_which_targets_count() -> None:
    tokens = torch.tensor([[BEGIN, 5, 6, END, PADDING], [BEGIN, 5, 6, 7, 8]])
    batch = TokenBatch(tokens, torch.tensor([0, 2]), torch.tensor([0, 1]), tokens == 5)
    assert batch.counted().tolist() == [[True, True, True, False], [False, False, True, True]]
