import functools

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader
from toy_notes import note_batch

from datamodules.batch import Batch, NoteBatch
from lightning_modules import load_module
from lightning_modules.base import can_reconstruct, can_sample, has_latents, renders_notes, resynthesise
from lightning_modules.errors import OptionError
from lightning_modules.losses.adversarial import (
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    WassersteinLoss,
)
from lightning_modules.losses.feature_mapping import FeatureStatistics, PairedFeatureDistance
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss
from lightning_modules.losses.transcription import NoteMapping
from lightning_modules.networks.feature_encoder import ConvolutionalFeatures, LogMelFeatures
from lightning_modules.networks.generator import WaveGANGenerator, WaveGANVocoder
from lightning_modules.networks.heads import ConvolutionalScoreHead, DenseScoreHead, LinearFeatureHead
from lightning_modules.networks.note_generator import NoteGenerator
from lightning_modules.networks.piano import DifferentiablePiano
from lightning_modules.networks.transcriber import NoteLogits, Transcriber
from lightning_modules.networks.trunk import HiFiGANTrunk, MelGANTrunk, WaveGANTrunk
from lightning_modules.networks.trunk_transcriber import TrunkTranscriber
from lightning_modules.networks.vocoders import HiFiGANGenerator, MelGANGenerator
from lightning_modules.schedules.learning_rate import WarmupCosine
from lightning_modules.schedules.updates import AdaptiveUpdates, FixedUpdates
from lightning_modules.wavegan import WaveGAN

CLIP, SIZE, MELS = 1024, 2, 8
adam = functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))


def make(**changes) -> WaveGAN:
    """Unconditional, WGAN-GP, 2 critic updates, F on log-mel features."""
    torch.manual_seed(0)
    trunk = WaveGANTrunk(CLIP, SIZE)
    arguments = {
        "sample_rate": 16000,
        "clip_samples": CLIP,
        "generator": WaveGANGenerator(CLIP, SIZE, latent_size=8),
        "trunk": trunk,
        "score_head": DenseScoreHead(trunk.hidden_sizes[0]),
        "adversarial_loss": WassersteinLoss(),
        "update_schedule": FixedUpdates(2),
        "generator_optimizer": adam,
        "critic_optimizer": adam,
        "feature_encoder": LogMelFeatures(16000, 64, 256, MELS),
        "feature_head": LinearFeatureHead(trunk.hidden_sizes[0], MELS, frames_per_step=1),
        "feature_mapping": FeatureStatistics(),
        "gradient_penalty": GradientPenalty(),
        "ema_decay": 0.9,
    }
    return WaveGAN(**(arguments | changes))


def make_vocoder(**changes) -> WaveGAN:
    """Conditional, hinge loss, 1 critic update, with all paired losses."""
    torch.manual_seed(0)
    return make(
        **{
            "generator": WaveGANVocoder(MELS, 64, SIZE),
            "adversarial_loss": HingeLoss(),
            "update_schedule": FixedUpdates(1),
            "gradient_penalty": None,
            "feature_mapping": PairedFeatureDistance(),
            "feature_matching_weight": 2.0,
            "spectral_loss": MultiResolutionSTFTLoss([256, 128]),
        }
        | changes
    )


def rival(generator, trunk, **changes) -> WaveGAN:
    return make_vocoder(
        generator=generator,
        trunk=trunk,
        score_head=ConvolutionalScoreHead(trunk.hidden_sizes),
        feature_head=None,
        feature_mapping=None,
        **changes,
    )


def make_melgan() -> WaveGAN:
    return rival(MelGANGenerator(MELS, 8, strides=(8, 8)), MelGANTrunk(4, 16))


def make_hifigan() -> WaveGAN:
    generator = HiFiGANGenerator(MELS, 8, (8, 8), (16, 16), (3,), ((1, 3),))
    return rival(generator, HiFiGANTrunk(16, 2, 16), adversarial_loss=LeastSquaresLoss())


class ToyPiano(NoteGenerator):
    """Decaying sines, of learned loudness, that start where the notes do."""

    def __init__(self, sample_rate: int = 16_000, channels: int = 1) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.channels = channels
        self.block_samples = 64
        self.loudness = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, notes: NoteBatch, num_samples: int) -> torch.Tensor:
        time = torch.arange(num_samples)[:, None] / self.sample_rate
        time = time - notes.onset_seconds(self.sample_rate)[:, None]  # (B, T, M)
        pitch = 440 * 2 ** ((notes.pitch[:, None] - 69) / 12)
        waves = torch.sin(2 * torch.pi * pitch * time) * torch.exp(-20 * time.clamp_min(0)) * (time >= 0)
        waveform = self.loudness * (waves * notes.velocity[:, None] / 64 * notes.mask[:, None]).sum(2)
        return waveform[:, None].expand(-1, self.channels, -1)


def make_player(**changes) -> WaveGAN:
    """Conditional on notes, hinge loss, with every loss."""
    return make_vocoder(**({"generator": ToyPiano()} | changes))


def make_soloist(**changes) -> WaveGAN:
    """Conditional on notes, spectral loss alone."""
    alone = {"feature_encoder": None, "feature_head": None, "feature_mapping": None}
    return make_player(**(alone | {"adversarial_weight": 0.0, "feature_matching_weight": 0.0} | changes))


def make_hearing_player(**changes) -> WaveGAN:
    """Conditional on notes, with an F that transcribes by its own front end."""
    torch.manual_seed(0)
    transcriber = Transcriber(16_000, width=2, dilations=(1,), window_seconds=(0.016,))
    given = {"transcriber": transcriber, "note_mapping": NoteMapping(), "feature_mapping": None}
    return make_player(**(given | {"feature_encoder": None, "feature_head": None} | changes))


def make_trunk_player(**changes) -> WaveGAN:
    """The same on the critic's trunk."""
    torch.manual_seed(0)
    return make_hearing_player(transcriber=TrunkTranscriber(16_000, CLIP, SIZE, 2, width=4), **changes)


def note_loader(batches: int, size: int = 4) -> DataLoader:
    """What a toy piano three times as loud as a new one plays."""
    random, zeros, found = np.random.default_rng(0), torch.zeros(size, dtype=torch.long), []
    teacher = ToyPiano()
    torch.nn.init.constant_(teacher.loudness, 0.3)
    for _ in range(batches):
        notes = note_batch([[(int(random.integers(60, 90)), 0.01, 0.5, 64)] for _ in range(size)])
        found.append(Batch(teacher(notes, CLIP).detach(), zeros, zeros, notes))
    return DataLoader(found, batch_size=None)


def clips(count: int, seed: int = 0) -> torch.Tensor:
    """Decaying sines of random pitch."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(CLIP) / 16000
    pitch = 200 + 2000 * torch.rand(count, 1, 1, generator=generator)
    return 0.3 * torch.sin(2 * torch.pi * pitch * time) * torch.exp(-20 * time)


def loader(batches: int, size: int = 4) -> DataLoader:
    zeros = torch.zeros(size, dtype=torch.long)
    return DataLoader([Batch(clips(size, seed), zeros, zeros) for seed in range(batches)], batch_size=None)


class Watch(Callback):
    """Who stepped, and what was logged at each batch."""

    def __init__(self):
        self.steps, self.logged = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.steps.append("gc"[trainer.optimizers.index(optimizer)])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.logged.append({name: value.item() for name, value in trainer.callback_metrics.items()})


class SameDraws(Callback):
    """Random numbers of each batch start from one seed."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(1)


def half_precision(scale: float = 2.0**10) -> MixedPrecision:
    """`16-mixed` on the CPU, which the Trainer by itself has for GPUs alone."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
    return MixedPrecision("16-mixed", "cpu", scaler=scaler)


def fit(model: WaveGAN, steps: int = 2, size: int = 4, validation=None, **options) -> tuple[Trainer, Watch]:
    watch = Watch()
    settings: dict = {
        "max_steps": steps,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "callbacks": [watch],
    } | options
    trainer = Trainer(**settings)
    trainer.fit(model, (note_loader if model.reads_notes else loader)(50, size), validation)
    return trainer, watch


def test_steps_are_counted_in_generator_updates():
    trainer, watch = fit(make(update_schedule=FixedUpdates(5)), steps=3, size=5)
    assert trainer.global_step == 3
    assert "".join(watch.steps) == "cccccgcccccgcccccg"
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 3  # the loggers' step


@pytest.mark.parametrize(
    "make_model",
    [
        make,
        make_vocoder,
        make_melgan,
        make_hifigan,
        make_player,
        make_hearing_player,
        make_trunk_player,
    ],
)
def test_each_update_changes_its_own_side_alone(make_model):
    model = make_model()
    sides = {
        "critic": [*model.trunk.parameters(), *model.score_head.parameters()],
        "generator": list(model.generator.parameters()),
    }
    if model.feature_head is not None:
        sides["critic"] += model.feature_head.parameters()
    if model.transcriber is not None:
        sides["critic"] += model.transcriber.parameters()
    copies: list[dict[str, list[torch.Tensor]]] = []

    class Copy(Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            copies.append({side: [p.detach().clone() for p in each] for side, each in sides.items()})

    watch = Watch()
    fit(model, steps=2, callbacks=[Copy(), watch])
    copies.append({side: [p.detach().clone() for p in each] for side, each in sides.items()})
    for letter, before, after in zip(watch.steps, copies, copies[1:], strict=False):
        trained, frozen = ("critic", "generator") if letter == "c" else ("generator", "critic")
        assert all(map(torch.equal, before[frozen], after[frozen]))
        moved = [
            not torch.equal(one, other) for one, other in zip(before[trained], after[trained], strict=True)
        ]
        assert sum(moved) > 0.9 * len(moved)


def test_the_trunk_is_optimised_once_and_by_both_heads():
    model = make()
    _, critic = [entry["optimizer"] for entry in model.configure_optimizers()]
    parameters = [parameter for group in critic.param_groups for parameter in group["params"]]
    assert len({id(parameter) for parameter in parameters}) == len(parameters)
    assert sum(parameter is model.trunk.layers[0].weight for parameter in parameters) == 1
    weight = model.trunk.layers[0].weight
    maps = model.trunk(clips(2))
    (from_score,) = torch.autograd.grad(model.score_head(maps)[0].sum(), weight, retain_graph=True)
    (from_converter,) = torch.autograd.grad(model.feature_head(maps).square().sum(), weight)
    assert from_score.abs().max() > 0 and from_converter.abs().max() > 0


def test_the_generator_gets_gradient_through_the_score_and_through_the_converter():
    model = make()
    maps = model.trunk(model.generator(2 * torch.rand(2, 8) - 1))
    for output in (model.score_head(maps)[0].sum(), model.feature_head(maps).square().sum()):
        grads = torch.autograd.grad(output, list(model.generator.parameters()), retain_graph=True)
        assert all(grad.abs().max() > 0 for grad in grads)


def test_logged_terms_add_up():
    model = make(gradient_penalty_weight=7.0, converter_weight=3.0, feature_weight=0.5, encoder_weight=2.0)
    _, watch = fit(model, steps=1)
    logged = watch.logged[-1]
    critic = ("critic_adversarial", "converter", "gradient_penalty")
    generator = ("generator_adversarial", "feature_mapping", "encoder_mapping")
    for name, weight in zip((*critic, *generator), (1, 3, 7, 1, 0.5, 2), strict=True):
        assert logged[f"train/weighted/{name}"] == pytest.approx(weight * logged[f"train/{name}"], rel=1e-5)
    for loss, names in (("critic_loss", critic), ("generator_loss", generator)):
        total = sum(logged[f"train/weighted/{name}"] for name in names)
        assert logged[f"train/{loss}"] == pytest.approx(total, rel=1e-5)


def test_the_first_critic_loss_by_an_independent_computation():
    model = make(update_schedule=FixedUpdates(1), gradient_penalty=None)
    model.trunk.shuffle.radius = 0
    real = clips(4)
    torch.manual_seed(1)
    generated = model.generator(2 * torch.rand(4, 8) - 1)
    scores = [model.score_head(model.trunk(waveform))[0].mean() for waveform in (generated, real)]
    both = torch.cat([real, generated])
    error = (model.feature_head(model.trunk(both)) - model.feature_encoder(both)).abs().mean()
    expected = scores[0] - scores[1] + error
    watch = Watch()
    fit(model, steps=1, callbacks=[SameDraws(), watch])
    assert watch.logged[0]["train/critic_loss"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("plugins", [[], ["half precision"]])
@pytest.mark.parametrize("limit", [1e-3, 1e-2])
def test_gradients_are_clipped_after_unscaling(plugins, limit):
    model = make(gradient_clip_norm=limit, generator_optimizer=functools.partial(torch.optim.SGD, lr=1.0))
    before = [parameter.detach().clone() for parameter in model.generator.parameters()]
    fit(model, steps=1, plugins=[half_precision() for _ in plugins])
    moves = [one.detach() - other for one, other in zip(model.generator.parameters(), before, strict=True)]
    assert torch.cat([move.flatten() for move in moves]).norm().item() == pytest.approx(limit, rel=1e-2)


def test_learning_rates_decay_per_generator_update():
    schedule = functools.partial(WarmupCosine, total_steps=4, warmup_fraction=0.0, final_fraction=0.1)
    trainer, _ = fit(make(generator_lr_scheduler=schedule, critic_lr_scheduler=schedule), steps=4)
    assert [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers] == pytest.approx([1e-4] * 2)


def test_adaptive_schedule_in_training():
    schedule = AdaptiveUpdates(0.99, 0.01, max_critic_steps=2, max_generator_steps=3)
    trainer, watch = fit(make(update_schedule=schedule), steps=6)
    assert trainer.global_step == 6
    order = "".join(watch.steps)
    assert max(map(len, order.split("g"))) <= 2 and max(map(len, order.split("c"))) <= 3
    assert order.count("g") == 6 and "c" in order


class Jump(torch.optim.Optimizer):
    """Adds 100 to the last parameter at each step: the bias of a score, if that comes last."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self, closure=None):
        if closure is not None:
            closure()
        self.param_groups[0]["params"][-1].data += 100


def test_the_generator_is_judged_by_one_critic_not_by_two():
    schedule = AdaptiveUpdates(0.99, 0.01, max_critic_steps=1, max_generator_steps=1)
    still = functools.partial(torch.optim.SGD, lr=0.0)
    without_f = {"feature_head": None, "feature_mapping": None, "gradient_penalty": None}
    model = make(
        update_schedule=schedule,
        critic_optimizer=Jump,
        generator_optimizer=still,
        ema_decay=None,
        **without_f,
    )
    model.trunk.shuffle.radius = 0
    for parameter in model.generator.parameters():
        torch.nn.init.zeros_(parameter)  # so that it makes silence
    assert model.configure_optimizers()[1]["optimizer"].param_groups[0]["params"][-1].shape == (1,)
    _, watch = fit(model, steps=1)
    real, silence = model._score(clips(4)), model._score(torch.zeros(1, 1, CLIP))
    assert silence.item() == pytest.approx(100) and 0 < (real > silence).float().mean() < 1
    assert watch.logged[0]["train/critic_accuracy"] == (real > silence).float().mean()


def test_the_average_makes_audio_and_shares_no_storage():
    model = make()
    fit(model, steps=3)
    latent = torch.rand(2, 8)
    average = model.average.network[0]
    assert not torch.equal(average(latent), model.generator(latent))
    torch.manual_seed(5)
    sampled = model.sample(2)
    torch.manual_seed(5)
    torch.testing.assert_close(sampled, average(2 * torch.rand(2, 8) - 1))
    own = {p.untyped_storage().data_ptr() for p in model.generator.parameters()}
    assert not own & {p.untyped_storage().data_ptr() for p in average.parameters()}


@pytest.mark.parametrize("make_model", [make, make_vocoder, make_melgan, make_hifigan])
def test_a_checkpoint_alone_makes_the_same_audio(make_model, tmp_path):
    model = make_model()
    trainer, _ = fit(model, steps=1)
    trainer.save_checkpoint(tmp_path / "gan.ckpt")
    loaded = load_module(tmp_path / "gan.ckpt")
    assert can_reconstruct(loaded) == can_reconstruct(model)
    if can_reconstruct(model):
        assert torch.equal(loaded.reconstruct(clips(2)), model.eval().reconstruct(clips(2)))
    else:
        audio = []
        for each in (loaded, model.eval()):
            torch.manual_seed(2)
            audio.append(each.sample(2))
        assert torch.equal(*audio)


def test_a_checkpoint_resumes_where_training_stood(tmp_path):
    schedule = AdaptiveUpdates(0.9, 0.6, 2, 2)
    stopped = make(update_schedule=schedule)
    trainer, watch = fit(stopped, steps=3)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = make(update_schedule=AdaptiveUpdates(0.9, 0.6, 2, 2))

    class Compare(Callback):
        def on_train_start(self, trainer, pl_module):
            assert trainer.global_step == 3
            for name, value in stopped.state_dict().items():
                assert torch.equal(value, pl_module.state_dict()[name]), name
            steps = [optimizer.state_dict()["state"][0]["step"].item() for optimizer in trainer.optimizers]
            assert steps == [watch.steps.count("g"), watch.steps.count("c")]

    options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    second = Trainer(max_steps=4, accelerator="cpu", callbacks=[Compare()], **options)
    second.fit(resumed, loader(50), ckpt_path=tmp_path / "stopped.ckpt", weights_only=True)
    assert second.global_step == 4
    assert resumed.average.updates == 4


@pytest.mark.parametrize("samples", [1, 1023, 1024, 3000])
def test_any_length_is_sampled_or_resynthesised(samples):
    model, vocoder = make().eval(), make_vocoder().eval()
    assert model.sample(3, samples).shape == (3, 1, samples)
    assert vocoder.reconstruct(torch.randn(2, 1, samples)).shape == (2, 1, samples)
    assert model.sample(2).abs().max() <= 1


def test_temperature_zero_is_the_centre_of_the_latent():
    model = make().eval()
    assert torch.equal(*model.sample(2, temperature=0.0).unbind())


def test_the_vocoder_is_features_then_generator():
    model = make_vocoder(ema_decay=None).eval()
    waveform = clips(2)
    torch.testing.assert_close(model.reconstruct(waveform), model.generator(model.feature_encoder(waveform)))


def test_learned_features_are_trained_with_the_generator():
    model = make_vocoder(feature_encoder=ConvolutionalFeatures(MELS, 64, 4))
    before = model.feature_encoder.layers[0].weight.detach().clone()
    fit(model, steps=1)
    assert not torch.equal(model.feature_encoder.layers[0].weight, before)
    assert model.reconstruct(clips(1)).shape == (1, 1, CLIP)


def test_validation_judges_the_critic_on_unseen_clips():
    model = make()
    zeros = torch.zeros(2, dtype=torch.long)
    long_clips = torch.cat([clips(2, 9), clips(2, 10), clips(2, 11)[..., :100]], dim=2)
    validation = DataLoader([Batch(long_clips, zeros, zeros)], batch_size=None)
    trainer, _ = fit(model, steps=1, validation=validation, limit_train_batches=1, max_epochs=1)
    with torch.no_grad():
        model.eval()
        expected = model._score(torch.cat([clips(2, 9), clips(2, 10)])).mean()
    assert trainer.callback_metrics["val/critic_score_real"].item() == pytest.approx(
        expected.item(), rel=1e-4
    )
    assert 0 <= trainer.callback_metrics["val/critic_accuracy"] <= 1


@pytest.mark.parametrize("make_model", [make, make_vocoder, make_hearing_player, make_trunk_player])
def test_bfloat16_trains_to_nearly_the_same_losses(make_model):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        model = make_model()
        model.trunk.shuffle.radius = 0
        watch = Watch()
        fit(model, steps=3, precision=precision, callbacks=[SameDraws(), watch])
        losses.append([entry["train/generator_loss"] for entry in watch.logged])
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.05)


@pytest.mark.parametrize("make_model", [make, make_vocoder, make_player])
def test_half_precision_with_loss_scaling_trains_to_nearly_the_same_losses(make_model):
    losses = []
    for options in ({}, {"plugins": [half_precision()]}):
        model = make_model()
        model.trunk.shuffle.radius = 0
        watch = Watch()
        trainer, _ = fit(model, steps=3, callbacks=[SameDraws(), watch], **options)
        losses.append(
            [entry[f"train/{side}_loss"] for entry in watch.logged for side in ("critic", "generator")]
        )
    assert trainer.precision_plugin.scaler.get_scale() == 2**10, "no step was skipped"
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.05)


def test_an_overflow_skips_the_update_of_its_own_side_alone():
    model = make(update_schedule=FixedUpdates(1))
    sides = {"c": list(model.trunk.parameters()), "g": list(model.generator.parameters())}
    before = {side: [p.detach().clone() for p in each] for side, each in sides.items()}

    class Overflow(Callback):
        def on_after_backward(self, trainer, pl_module):
            if sides["c"][0].requires_grad:  # the critic's turn
                sides["c"][0].grad[0] = torch.inf

    trainer, _ = fit(model, steps=1, callbacks=[Overflow()], plugins=[half_precision()])
    assert all(map(torch.equal, before["c"], sides["c"]))
    assert not any(map(torch.equal, before["g"], sides["g"]))
    assert trainer.precision_plugin.scaler.get_scale() == 2**9


@pytest.mark.parametrize("loss", [NonSaturatingLoss(), HingeLoss(), LeastSquaresLoss()])
def test_other_losses_need_no_gradient_penalty(loss):
    _, watch = fit(make(adversarial_loss=loss, gradient_penalty=None), steps=2)
    assert "train/gradient_penalty" not in watch.logged[-1]
    assert watch.logged[0]["train/critic_adversarial"] != watch.logged[1]["train/critic_adversarial"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_samples": 4096}, "clip_samples is 4096 but trunk.clip_samples is 1024"),
        (
            {"generator": WaveGANGenerator(4096, SIZE)},
            "clip_samples is 1024 but generator.clip_samples is 4096",
        ),
        ({"channels": 2}, "channels is 2 but generator.channels is 1"),
        ({"sample_rate": 22050}, "sample_rate is 22050 but feature_encoder.sample_rate is 16000"),
        (
            {"score_head": DenseScoreHead(5)},
            r"score_head.hidden_sizes is \[5\] but trunk.hidden_sizes is \[8\]",
        ),
        (
            {"feature_head": LinearFeatureHead(8, MELS, 4)},
            "frames_per_step \\* feature_encoder.hop_samples is 256 but trunk.hop_samples is 64",
        ),
        ({"feature_encoder": None}, "a feature_head .F. but no feature_encoder"),
        (
            {"feature_head": None, "feature_mapping": None, "encoder_weight": 1.0},
            "encoder_weight=1.0 but no feature_mapping",
        ),
        ({"feature_mapping": None}, "one of feature_head .F. and feature_mapping without the other"),
        (
            {"feature_mapping": PairedFeatureDistance()},
            "PairedFeatureDistance compares pairs and nothing it gen",
        ),
        ({"feature_matching_weight": 1.0}, "feature_matching_weight compares pairs"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"feature_encoder": LogMelFeatures(16000, 128, 256, MELS)},
            "feature_encoder.hop_samples is 128 but generator.hop_samples is 64",
        ),
        (
            {"generator": WaveGANVocoder(5, 64, SIZE)},
            "feature_encoder.feature_size is 8 but generator.feature_size is 5",
        ),
        ({"feature_encoder": None, "feature_head": None, "feature_mapping": None}, "but no feature_encoder"),
        (
            {"clip_samples": 1000},
            "clip_samples=1000, which is no whole number of the generator's 64 per frame",
        ),
    ],
)
def test_features_of_the_wrong_rate_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make_vocoder(**changes)


def test_a_vocoder_cannot_sample_nor_the_unconditional_model_reconstruct():
    with pytest.raises(OptionError, match=r"WaveGANVocoder makes audio from features only(.|\n)*reconstruct"):
        make_vocoder().sample(1)
    with pytest.raises(OptionError, match=r"makes audio from noise: this model encodes none\n.*sample"):
        make().reconstruct(clips(1))


# --- conditional on notes ---


def test_a_player_learns_from_the_spectral_loss_alone_and_asks_no_critic():
    model = make_soloist(generator_optimizer=functools.partial(torch.optim.Adam, lr=0.02))
    critic = [parameter.detach().clone() for parameter in model.trunk.parameters()]
    trainer, watch = fit(model, steps=30)
    assert trainer.global_step == 30
    assert "".join(watch.steps) == "g" * 30
    assert all(map(torch.equal, critic, model.trunk.parameters()))
    assert model.generator.loudness.item() == pytest.approx(0.3, rel=0.1)
    assert "train/critic_loss" not in watch.logged[-1]


def test_every_loss_of_a_player_is_weighted_once():
    weights = {"adversarial_weight": 0.5, "feature_weight": 3.0, "feature_matching_weight": 2.0}
    _, watch = fit(make_player(spectral_weight=7.0, **weights), steps=1)
    logged = watch.logged[-1]
    names = ("generator_adversarial", "feature_mapping", "feature_matching", "spectral")
    for name, weight in zip(names, (0.5, 3.0, 2.0, 7.0), strict=True):
        assert logged[f"train/weighted/{name}"] == pytest.approx(weight * logged[f"train/{name}"], rel=1e-5)
    total = sum(logged[f"train/weighted/{name}"] for name in names)
    assert logged["train/generator_loss"] == pytest.approx(total, rel=1e-5)


def test_each_part_of_a_batch_gets_its_own_notes():
    heard = []

    class Listener(ToyPiano):
        def forward(self, notes: NoteBatch, num_samples: int) -> torch.Tensor:
            heard.append(notes.pitch[:, 0].tolist())
            return super().forward(notes, num_samples)

    model = make_player(generator=Listener(), update_schedule=FixedUpdates(2), ema_decay=None)
    expected = next(iter(note_loader(1))).notes.pitch[:, 0].tolist()
    fit(model, steps=1)
    assert heard == [expected[0::2], expected[1::2], expected[1::2]]


@pytest.mark.parametrize("make_model", [make_player, make_soloist, make_hearing_player, make_trunk_player])
def test_a_checkpoint_alone_plays_the_same(make_model, tmp_path):
    model = make_model(generator=DifferentiablePiano(num_partials=4, room_seconds=0.05))
    trainer, _ = fit(model, steps=1)
    trainer.save_checkpoint(tmp_path / "player.ckpt")
    loaded = load_module(tmp_path / "player.ckpt")
    assert renders_notes(loaded)
    assert not (can_sample(loaded) or can_reconstruct(loaded) or has_latents(loaded))
    batch = next(iter(note_loader(1)))
    with torch.no_grad():
        audio = [resynthesise(each.eval(), batch) for each in (loaded, model)]
    assert torch.equal(*audio)
    assert audio[0].shape == batch.waveform.shape and audio[0].abs().max() > 1e-3


def test_the_average_is_what_plays():
    model = make_soloist()
    fit(model, steps=5)
    notes = next(iter(note_loader(1))).notes
    average = model.average.network[0]
    assert average.loudness != model.generator.loudness
    torch.testing.assert_close(model.render(notes, CLIP), average(notes, CLIP))


def test_unseen_pieces_are_judged_and_renderings_are_predictions():
    model = make_player()
    trainer, _ = fit(model, steps=2, validation=note_loader(2), limit_val_batches=2, val_check_interval=2)
    assert 0.0 <= trainer.callback_metrics["val/critic_accuracy"] <= 1.0
    batch = next(iter(note_loader(1)))
    torch.testing.assert_close(model.predict_step(batch, 0), resynthesise(model, batch))


def test_f_learns_real_and_generated_notes_and_g_is_told_what_f_hears():
    """Losses of the first update by an independent computation."""
    said = []

    class Watched(Transcriber):
        def forward(self, waveform, maps=None) -> NoteLogits:
            said.append((waveform.detach(), super().forward(waveform, maps)))
            return said[-1][1]

    watched = Watched(16_000, width=2, dilations=(1,), window_seconds=(0.016,))
    model = make_hearing_player(transcriber=watched, converter_weight=3.0, feature_weight=0.5)
    batch = next(iter(note_loader(1)))
    with torch.no_grad():
        generated = ToyPiano()(batch.notes, CLIP)
    _, watch = fit(model, steps=1)
    (both, of_both), (_, of_generated) = said
    torch.testing.assert_close(both, torch.cat([batch.waveform, generated]))
    halves = [NoteLogits(*(part[half] for part in of_both)) for half in (slice(4), slice(4, None))]
    errors = [NoteMapping()(half, batch.notes, 256, 16_000).item() for half in [*halves, of_generated]]
    logged = watch.logged[0]
    assert logged["train/converter"] == pytest.approx((errors[0] + errors[1]) / 2, rel=1e-4)
    assert logged["train/weighted/converter"] == pytest.approx(3.0 * logged["train/converter"])
    assert logged["train/feature_mapping"] == pytest.approx(errors[2], rel=1e-4)
    assert logged["train/weighted/feature_mapping"] == pytest.approx(0.5 * logged["train/feature_mapping"])


def test_f_gets_its_thresholds_from_unseen_pieces():
    model = make_hearing_player()
    model.transcriber.set_thresholds(0.0, 0.0)
    trainer, _ = fit(model, steps=2, validation=note_loader(2), limit_val_batches=2, val_check_interval=2)
    assert model.transcriber.onset_threshold.item() >= 0.15 - 1e-6
    assert model.transcriber.sounding_threshold.item() >= 0.2 - 1e-6
    assert 0.0 <= trainer.callback_metrics["val/transcriber_note_f_score"] <= 1.0


def test_f_has_a_learning_rate_of_its_own():
    model = make_hearing_player(transcriber_learning_rate=0.5)
    _, critic = [entry["optimizer"] for entry in model.configure_optimizers()]
    rates = {id(weight): group["lr"] for group in critic.param_groups for weight in group["params"]}
    assert {rates[id(weight)] for weight in model.transcriber.parameters()} == {0.5}
    assert {rates[id(weight)] for weight in model.trunk.parameters()} == {1e-3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"note_mapping": None}, "one of transcriber .F. and note_mapping without the other"),
        (
            {"generator": WaveGANGenerator(CLIP, SIZE)},
            "a transcriber, but WaveGANGenerator makes nothing from",
        ),
        (
            {"transcriber": Transcriber(22_050, width=2, dilations=(1,))},
            "sample_rate is 16000 but transcriber.sample_rate is 22050",
        ),
        (
            {"transcriber": TrunkTranscriber(16_000, CLIP, 3, 2)},
            "trunk.model_size is 2 but transcriber.model_size is 3",
        ),
        (
            {
                "feature_encoder": LogMelFeatures(16000, 64, 256, MELS),
                "feature_head": LinearFeatureHead(8, MELS, 1),
                "feature_mapping": PairedFeatureDistance(),
            },
            "two converters F",
        ),
    ],
)
def test_a_transcriber_that_does_not_fit_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make_hearing_player(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sample_rate": 22050, "feature_encoder": None},
            "sample_rate is 22050 but generator.sample_rate is 16000",
        ),
        ({"channels": 2}, "channels is 2 but generator.channels is 1"),
        ({"spectral_loss": None}, "nothing would train G"),
    ],
)
def test_what_does_not_fit_a_player_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make_soloist(**changes)


def test_a_player_says_what_it_needs():
    model = make_soloist()
    with pytest.raises(ValueError, match=r"ToyPiano makes audio from notes only(.|\n)*render a MIDI file"):
        model.sample(1)
    zeros = torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"reads notes, but a batch came without any\n.*with_notes"):
        resynthesise(model, Batch(clips(2), zeros, zeros))
    with pytest.raises(ValueError, match="WaveGANGenerator reads no notes"):
        make().render(note_batch([[]]), 10)
