"""The room: a convolution, in each channel its own, that leaves the direct sound as it is."""

import torch

from lightning_modules.networks.room import Room


def test_an_impulse_gives_the_response():
    room = Room(8000, channels=2, seconds=0.25)
    impulse = torch.zeros(1, 2, 4000)
    impulse[..., 100] = 1.0
    with torch.no_grad():
        wet, response = room(impulse)[0], room.response()
    torch.testing.assert_close(wet[:, 100], 1.0 + response[:, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(wet[:, 101:2100], response[:, 1:], atol=1e-6, rtol=0)
    assert wet[:, :100].abs().max() < 1e-6
    assert not torch.equal(response[0], response[1])


def test_reverberation_fades_and_is_cut_off_at_the_end():
    room = Room(8000, seconds=0.5)
    with torch.no_grad():
        response = room.response()[0]
    assert response[:400].norm() > 3 * response[-400:].norm() > 0
    noise = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(room(noise)[..., :1000], room(noise[..., :1000]), atol=1e-5, rtol=0)
