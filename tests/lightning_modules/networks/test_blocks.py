import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.blocks import ConvNeXtBlock, overlap_add


@pytest.mark.parametrize("overlap", [1, 2, 3, 4])
def test_overlap_add_equals_a_naive_loop(overlap):
    torch.manual_seed(0)
    hop, length = 6, 5
    frames = torch.randn(2, 3, length, overlap * hop)
    padded = torch.zeros(2, 3, (length + overlap - 1) * hop)
    for index in range(length):
        padded[..., index * hop : (index + overlap) * hop] += frames[:, :, index]
    start = (overlap - 1) * hop // 2
    torch.testing.assert_close(overlap_add(frames, hop), padded[..., start : start + length * hop])


def test_convnext_block_equals_the_published_formula():
    torch.manual_seed(0)
    block = ConvNeXtBlock(4, kernel_size=3, expansion=2)
    torch.nn.init.normal_(block.scale)
    hidden = torch.randn(2, 4, 9)
    expected = hidden.clone()
    padded = functional.pad(hidden, (1, 1))
    for frame in range(9):
        window = padded[:, :, frame : frame + 3]  # (B, H, 3)
        mixed = (window * block.depthwise.weight[:, 0]).sum(-1) + block.depthwise.bias
        centred = mixed - mixed.mean(1, keepdim=True)
        normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        inner = functional.gelu(normed @ block.expand.weight.T + block.expand.bias)
        expected[:, :, frame] += block.scale * (inner @ block.project.weight.T + block.project.bias)
    torch.testing.assert_close(block(hidden), expected, atol=1e-5, rtol=1e-5)
