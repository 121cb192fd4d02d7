"""WaveGAN: a generator G against a score head D and a feature converter F on one trunk W."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from datamodules.batch import Batch, NoteBatch
from lightning_modules.audio.framing import cut_into_clips, padded_to_frames, split_evenly
from lightning_modules.base import HasLatents, LatentModule, Reconstructs, RendersNotes, Samples, resynthesise
from lightning_modules.compatibility import check_wavegan, require_latent_generator
from lightning_modules.errors import OptionError
from lightning_modules.inference.note_thresholds import UnseenNotes
from lightning_modules.losses.adversarial import (
    AdversarialLoss,
    Verdict,
    critic_loss,
    generator_loss,
    ranking_accuracy,
    score_per_clip,
)
from lightning_modules.losses.feature_mapping import FeatureMapping, feature_matching
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.losses.spectral import SpectralLoss
from lightning_modules.losses.terms import Term, weighted_sum
from lightning_modules.losses.transcription import NoteMapping
from lightning_modules.networks.feature_encoder import FeatureEncoder
from lightning_modules.networks.generator import FeatureGenerator, LatentGenerator
from lightning_modules.networks.heads import FeatureHead, ScoreHead
from lightning_modules.networks.note_generator import NoteGenerator
from lightning_modules.networks.transcriber import NoteConverter, Transcriber
from lightning_modules.networks.trunk import FeatureMaps, Trunk
from lightning_modules.numerics.moving_average import MovingAverage
from lightning_modules.numerics.processes import gather, uniform_noise
from lightning_modules.optimization import (
    expect_partial_updates,
    step_schedulers,
    take_step,
    uncount,
    with_scheduler,
)
from lightning_modules.schedules.updates import UpdateSchedule


class WaveGAN(LatentModule):
    """Generative adversarial network of raw audio (Donahue, McAuley, Puckette 2019), and vocoders.

    A trunk W looks at waveforms; on it sit D, which scores them as real or generated, and F, which converts
    them to the features of the original signal. Both reach W. F learns on real and on generated clips, each
    with its own features, so that G cannot please it by sounds that it has never met.

    - Unconditional, with a `LatentGenerator`: G(z), z uniform in (-1, 1). The feature mapping compares the
      statistics of F's features of generated and of real clips.
    - Conditional on audio, with a `FeatureGenerator`: `feature_encoder` turns x into features, G turns these
      into y, and the feature mapping compares F(y) with the features of x.
    - Conditional on notes, with a `NoteGenerator`: G turns the notes of a batch into y, and the same losses
      compare it with the recording x. F may be a `transcriber`, which converts waveforms to notes: it learns
      on recordings, with the notes that were played, and on what G made, with those that it was made from,
      and the feature mapping is the distance of F(y) from these. A `Transcriber` gets its thresholds from the
      validation split, where `val/transcriber_note_f_score` and its like are logged. With all weights of
      critics at 0 they are neither asked nor trained.

    Steps, in `max_steps`, logs, checkpoints and learning-rate schedules, are generator updates. A training
    batch is one generator update; it is cut into as many parts as the schedule may ask for critic updates,
    and each of these sees fresh real clips: with 5 critic updates, a batch of 80 trains on 16 at a time.

    Args:
        sample_rate: Rate of the audio in Hz.
        clip_samples: Training clip length in samples.
        generator: G.
        trunk: W.
        score_head: D.
        adversarial_loss: The loss of D, and of G against it.
        update_schedule: How many critic updates come before each generator update.
        generator_optimizer: Makes G's optimiser.
        critic_optimizer: Makes the optimiser of W, D and F.
        feature_encoder: Features of the original signal: F's target, and a conditional G's input.
        feature_head: F, or None.
        feature_mapping: Distance of F's features from those wanted, for G; None if there is no such F.
        adversarial_weight: Weight of the adversarial loss in G's.
        feature_weight: Weight of the feature mapping in G's loss.
        encoder_weight: Weight of the same distance between exact features, which F only approximates.
        converter_weight: Weight of F's own error (mean absolute difference, or the note mapping) in the
            critic's loss.
        gradient_penalty: Penalty on D's slope, or None.
        gradient_penalty_weight: Its weight λ.
        feature_matching_weight: Weight of the distance between W's maps of y and x, for G; conditional only.
        spectral_loss: Spectral distance of y from x, for G, or None; conditional only.
        spectral_weight: Its weight.
        ema_decay: Decay of the moving average of G that makes audio outside training; None for G as it is.
        gradient_clip_norm: Largest Euclidean norm of either optimiser's gradient; None for no clipping.
        generator_lr_scheduler: Makes a scheduler of G's optimiser, or None.
        critic_lr_scheduler: Of the critic's.
        channels: Audio channels C.
        transcriber: F of a model from notes, in the place of a feature_head, or None.
        note_mapping: Distance of what it says from notes, for F and for G; None if there is no transcriber.
        transcriber_learning_rate: Its own rate in the critic's optimiser; None for that of the others.

    Raises:
        OptionError: If the parts do not fit each other; the text names both.
    """

    def __init__(
        self,
        sample_rate: int,
        clip_samples: int,
        generator: LatentGenerator | FeatureGenerator | NoteGenerator,
        trunk: Trunk,
        score_head: ScoreHead,
        adversarial_loss: AdversarialLoss,
        update_schedule: UpdateSchedule,
        generator_optimizer: OptimizerCallable = torch.optim.Adam,
        critic_optimizer: OptimizerCallable = torch.optim.Adam,
        feature_encoder: FeatureEncoder | None = None,
        feature_head: FeatureHead | None = None,
        feature_mapping: FeatureMapping | None = None,
        adversarial_weight: float = 1.0,
        feature_weight: float = 1.0,
        encoder_weight: float = 0.0,
        converter_weight: float = 1.0,
        gradient_penalty: GradientPenalty | None = None,
        gradient_penalty_weight: float = 10.0,
        feature_matching_weight: float = 0.0,
        spectral_loss: SpectralLoss | None = None,
        spectral_weight: float = 1.0,
        ema_decay: float | None = 0.999,
        gradient_clip_norm: float | None = None,
        generator_lr_scheduler: LRSchedulerCallable | None = None,
        critic_lr_scheduler: LRSchedulerCallable | None = None,
        channels: int = 1,
        transcriber: NoteConverter | None = None,
        note_mapping: NoteMapping | None = None,
        transcriber_learning_rate: float | None = None,
    ) -> None:
        super().__init__(sample_rate, clip_samples, channels)
        self.automatic_optimization = False
        self.generator = generator
        self.trunk = trunk
        self.score_head = score_head
        self.adversarial_loss = adversarial_loss
        self.update_schedule = update_schedule
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        self.feature_encoder = feature_encoder
        self.feature_head = feature_head
        self.feature_mapping = feature_mapping
        self.transcriber = transcriber
        self.note_mapping = note_mapping
        self.transcriber_learning_rate = transcriber_learning_rate
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.encoder_weight = encoder_weight
        self.converter_weight = converter_weight
        self.gradient_penalty = gradient_penalty
        self.gradient_penalty_weight = gradient_penalty_weight
        self.feature_matching_weight = feature_matching_weight
        self.spectral_loss = spectral_loss
        self.spectral_weight = spectral_weight
        self.ema_decay = ema_decay
        self.gradient_clip_norm = gradient_clip_norm
        self.generator_lr_scheduler = generator_lr_scheduler
        self.critic_lr_scheduler = critic_lr_scheduler
        self.reads_notes = isinstance(generator, NoteGenerator)
        self.render_unit_samples, self.lookahead_samples = 1, 0
        if isinstance(generator, NoteGenerator):
            self.render_unit_samples = generator.block_samples
            self.lookahead_samples = generator.lookahead_samples
        self.is_conditional = not isinstance(generator, LatentGenerator)
        self.lacks = self._lacking()
        mapping_weight = 0.0 if feature_mapping is None and transcriber is None else feature_weight
        self.has_critic = any((adversarial_weight, mapping_weight, feature_matching_weight))
        self.latent_hop_samples = getattr(generator, "hop_samples", clip_samples)
        self.differentiated_twice = ("trunk", "score_head") if gradient_penalty is not None else ()
        check_wavegan(self)
        self._unseen: UnseenNotes | None = None
        self.average = None if ema_decay is None else MovingAverage(self._synthesis(), ema_decay)

    def _lacking(self) -> frozenset[type]:
        """Capabilities that G's kind does not give."""
        if isinstance(self.generator, NoteGenerator):
            return frozenset({Samples, Reconstructs, HasLatents})
        return frozenset({RendersNotes, Samples if self.is_conditional else Reconstructs})

    def _synthesis(self) -> nn.ModuleList:
        """The parts that make audio and G's optimiser trains: G, then the encoder that G may read."""
        reads_features = isinstance(self.generator, FeatureGenerator)
        parts = (self.generator, self.feature_encoder if reads_features else None)
        return nn.ModuleList(part for part in parts if part is not None)

    def setup(self, stage: str) -> None:
        """Prepare distributed training for updates of one side at a time."""
        expect_partial_updates(self.trainer)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of ten forms
        """G's optimiser, then the critic's; schedulers are stepped once per generator update."""
        critic_parts = (self.trunk, self.score_head, self.feature_head)
        critic = nn.ModuleList(part for part in critic_parts if part is not None)
        groups: list[dict[str, Any]] = [{"params": list(critic.parameters())}]
        if self.transcriber is not None:
            rate = self.transcriber_learning_rate
            own = {} if rate is None else {"lr": rate}
            groups.append({"params": list(self.transcriber.parameters()), **own})
        generator_optimizer = self.generator_optimizer(self._synthesis().parameters())
        critic_optimizer = self.critic_optimizer(groups)
        return [
            with_scheduler(generator_optimizer, self.generator_lr_scheduler),
            with_scheduler(critic_optimizer, self.critic_lr_scheduler),
        ]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip, now that gradients are unscaled; Lightning's own clipping is for automatic optimisation."""
        if self.gradient_clip_norm is not None:
            self.clip_gradients(optimizer, self.gradient_clip_norm, "norm")

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Critic updates as the schedule wants, each on its part of the batch, then one generator update."""
        generator_optimizer, critic_optimizer = cast(list[LightningOptimizer], self.optimizers())
        uncount(critic_optimizer)
        verdict = None
        for clips, notes in self._parts(batch):
            if not self.has_critic or not self.update_schedule.critic_is_next():
                break
            verdict = self._train_critic(clips, notes, critic_optimizer)
        if verdict is None or self.update_schedule.needs_accuracy:  # of this critic, not of the one before
            verdict = self._judge_real(clips) if self.has_critic else None
        self._train_generator(clips, notes, verdict, generator_optimizer)
        step_schedulers(self)

    def _parts(self, batch: Batch) -> Iterator[tuple[Tensor, NoteBatch | None]]:
        """The clips of each critic update that the schedule may ask for, and their notes, if G reads them."""
        parts = self.update_schedule.max_critic_steps if self.has_critic else 1
        clips = split_evenly(batch.waveform, parts)
        if not self.reads_notes:
            return zip(clips, [None] * parts, strict=True)
        columns = zip(*(split_evenly(each, parts) for each in batch.known_notes()), strict=True)
        return zip(clips, (NoteBatch(*column) for column in columns), strict=True)

    def _train_critic(self, clips: Tensor, notes: NoteBatch | None, optimizer: LightningOptimizer) -> Verdict:
        """One update of W, D and F on real clips (B, C, T) and as many generated ones."""
        self.toggle_optimizer(optimizer)
        with torch.no_grad():
            generated = self._generate(clips, notes)[0]
        both = torch.cat([clips, generated])  # one pass for both
        maps = self.trunk(both)
        scores = self.score_head(maps)
        real, fake = zip(*(score.chunk(2) for score in scores), strict=True)
        terms = {"critic_adversarial": Term(1.0, critic_loss(self.adversarial_loss, scores))}
        converted = self._convert(maps)  # (2 B, F, N)
        if converted is not None and self.feature_encoder is not None:
            with torch.no_grad():
                features = self.feature_encoder(both)
            terms["converter"] = Term(self.converter_weight, (converted - features).abs().mean())
            converted = converted[: len(clips)].detach()
        if notes is not None and self.transcriber is not None:
            terms["converter"] = Term(self.converter_weight, self._note_error(both, maps, twice(notes)))
        if self.gradient_penalty is not None:
            mix = (uniform_noise(len(clips), 1, self.device) + 1.0) / 2.0
            penalty = self.gradient_penalty(self._score, clips, generated, mix)
            terms["gradient_penalty"] = Term(self.gradient_penalty_weight, penalty)
        self._step(optimizer, "critic_loss", terms)
        self.log("train/critic_adversarial", terms["critic_adversarial"].value.detach())  # for Health
        verdict = Verdict(score_per_clip(real, len(clips)).detach(), converted)
        self.update_schedule.after_critic(self._accuracy(verdict, score_per_clip(fake, len(clips))))
        return verdict

    def _train_generator(
        self, clips: Tensor, notes: NoteBatch | None, verdict: Verdict | None, optimizer: LightningOptimizer
    ) -> None:
        """One update of G; `clips` (B, C, T), or their `notes`, are what a conditional G resynthesises."""
        self.toggle_optimizer(optimizer)
        generated, features = self._generate(clips, notes)
        terms: dict[str, Term] = {}
        scores: list[Tensor] = []
        maps: FeatureMaps = []
        if verdict is not None:
            maps = self.trunk(generated)
            scores = self.score_head(maps)
            terms = self._critic_terms(clips, generated, features, maps, scores, verdict)
        if verdict is not None and notes is not None and self.transcriber is not None:
            terms["feature_mapping"] = Term(self.feature_weight, self._note_error(generated, maps, notes))
        if self.spectral_loss is not None:
            terms["spectral"] = Term(self.spectral_weight, self.spectral_loss(generated, clips))
        self._step(optimizer, "generator_loss", terms)
        if self.average is not None:
            self.average.update(self._synthesis())
        if verdict is not None:
            clip_scores, judged = score_per_clip(scores, len(clips)), self.update_schedule.needs_accuracy
            self.update_schedule.after_generator(self._accuracy(verdict, clip_scores) if judged else 0.5)

    def _critic_terms(
        self,
        clips: Tensor,
        generated: Tensor,
        features: Tensor | None,
        maps: FeatureMaps,
        scores: list[Tensor],
        verdict: Verdict,
    ) -> dict[str, Term]:
        """Terms of G's loss by the critic, which gave `maps` and `scores` to what G made of `clips`."""
        adversarial = generator_loss(self.adversarial_loss, scores)
        terms = {"generator_adversarial": Term(self.adversarial_weight, adversarial)}
        converted, wanted = self._convert(maps), verdict.converted if features is None else features.detach()
        if converted is not None and wanted is not None:
            terms["feature_mapping"] = Term(self.feature_weight, self._feature_distance(converted, wanted))
        if self.encoder_weight and self.feature_encoder is not None:
            exact = self.feature_encoder(torch.cat([generated, clips])).chunk(2)
            distance = self._feature_distance(exact[0], exact[1].detach())
            terms["encoder_mapping"] = Term(self.encoder_weight, distance)
        if self.feature_matching_weight:
            with torch.no_grad():
                real_maps = self.trunk(clips)
            terms["feature_matching"] = Term(self.feature_matching_weight, feature_matching(maps, real_maps))
        return terms

    def _step(self, optimizer: LightningOptimizer, name: str, terms: dict[str, Term]) -> None:
        """Update one side's parameters by the weighted sum of the terms, and log them all."""
        loss, figures = weighted_sum(terms)
        take_step(self, optimizer, loss)
        self.untoggle_optimizer(optimizer)
        self.log_training(name, loss, figures)

    def _generate(self, clips: Tensor, notes: NoteBatch | None) -> tuple[Tensor, Tensor | None]:
        """As many clips as `clips` (B, C, T), and the features (B, F, N) of these, if conditional."""
        if isinstance(self.generator, NoteGenerator):
            assert notes is not None  # _parts
            with torch.no_grad():
                features = None if self.feature_encoder is None else self.feature_encoder(clips)
            return self.generator(notes, clips.shape[-1]), features
        if isinstance(self.generator, LatentGenerator):
            return self.generator(uniform_noise(len(clips), self.generator.latent_size, self.device)), None
        assert self.feature_encoder is not None  # check_wavegan
        features = self.feature_encoder(clips)
        return self.generator(features), features

    def _feature_distance(self, generated: Tensor, real: Tensor) -> Tensor:
        """The feature mapping between features (B, F, N), over all devices: a scalar."""
        assert self.feature_mapping is not None  # check_wavegan
        return self.feature_mapping(gather(generated), gather(real))

    def _note_error(self, waveform: Tensor, maps: FeatureMaps, notes: NoteBatch) -> Tensor:
        """How far F's notes of clips (B, C, T), which gave `maps`, are from the true ones: a scalar."""
        assert self.transcriber is not None and self.note_mapping is not None  # check_wavegan
        said = self.transcriber(waveform, maps)
        error: Tensor = self.note_mapping(said, notes, self.transcriber.hop_samples, self.sample_rate)
        return error

    def _score(self, waveform: Tensor) -> Tensor:
        """D: (B, C, T) -> (B,)."""
        return score_per_clip(self.score_head(self.trunk(waveform)), len(waveform))

    def _convert(self, maps: FeatureMaps) -> Tensor | None:
        """F: the trunk's maps -> (B, F, N); None without F."""
        return self.feature_head(maps) if self.feature_head is not None else None

    @torch.no_grad()
    def _judge_real(self, clips: Tensor) -> Verdict:
        """The present critic's scores and features of real clips (B, C, T)."""
        maps = self.trunk(clips)
        return Verdict(score_per_clip(self.score_head(maps), len(clips)), self._convert(maps))

    def _accuracy(self, verdict: Verdict, generated_scores: Tensor) -> float:
        """Log how well the critic tells real from generated; over all devices, if the schedule asks."""
        scores, is_needed = (verdict.scores, generated_scores.detach()), self.update_schedule.needs_accuracy
        accuracy = ranking_accuracy(*(gather(each) if is_needed else each for each in scores))
        self.log("train/critic_accuracy", accuracy)
        return float(accuracy) if is_needed else 0.5  # a GPU is not waited for without need

    def on_validation_epoch_start(self) -> None:
        """Forget what the transcriber heard in the last validation."""
        if self.has_critic and isinstance(self.transcriber, Transcriber):
            self._unseen = UnseenNotes(self.transcriber, self.sample_rate)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log what the critic makes of unseen clips; if it accepts training clips alone, it overfits."""
        self._log_unseen_scores("val", batch)
        if self._unseen is not None:
            self._unseen.add(batch, self._unseen.transcriber(batch.waveform))

    def on_validation_epoch_end(self) -> None:
        """Choose the transcriber's thresholds, and log how well it hears the recordings with them."""
        if self._unseen is not None and self._unseen.clips:
            self._unseen.choose_thresholds(
                lambda values: self.trainer.strategy.reduce(values, reduce_op="mean")
            )
            for name, value in self._unseen.scores().items():
                self.log(f"val/transcriber_{name}", value, sync_dist=True)
        self._unseen = None

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same for the test split."""
        self._log_unseen_scores("test", batch)

    def _log_unseen_scores(self, stage: str, batch: Batch) -> None:
        """Log the critic's scores of a batch and of as many generated clips."""
        if not self.has_critic:
            return
        real = cut_into_clips(batch.waveform, self.clip_samples)
        if self.reads_notes:
            generated = cut_into_clips(resynthesise(self, batch), self.clip_samples)
        else:
            generated = self.reconstruct(real) if self.is_conditional else self.sample(len(real))
        scores, generated_scores = self._score(real), self._score(generated)
        figures = {
            f"{stage}/critic_score_real": scores.mean(),
            f"{stage}/critic_score_generated": generated_scores.mean(),
            f"{stage}/critic_accuracy": ranking_accuracy(scores, generated_scores),
        }
        self.log_evaluation(figures, len(real))

    def render(self, notes: NoteBatch, num_samples: int) -> Tensor:
        """G of notes; see `RendersNotes.render`."""
        if not isinstance(self.generator, NoteGenerator):
            raise OptionError(
                f"{type(self.generator).__name__} reads no notes", "use a model with a NoteGenerator"
            )
        multiple = self.generator.clip_multiple
        waveform: Tensor = self._averaged_synthesis()[0](notes, -(-num_samples // multiple) * multiple)
        return waveform[..., :num_samples].float()

    def draw_latent(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Uniform, one z per `clip_samples`: longer audio is several clips end to end. Unconditional only."""
        latent_size = require_latent_generator(self.generator).latent_size
        pieces = -(-(num_samples or self.clip_samples) // self.clip_samples)
        uniform = torch.rand(num_clips, pieces, latent_size, device=self.device)
        return temperature * (2.0 * uniform - 1.0).transpose(1, 2)

    def encode_latent(self, waveform: Tensor) -> Tensor:
        """The features of a conditional model; see `HasLatents.encode_latent`."""
        if not isinstance(self.generator, FeatureGenerator):
            source = "notes" if self.reads_notes else "noise"
            raise OptionError(
                f"{type(self.generator).__name__} makes audio from {source}: this model encodes none",
                "use sample(num_clips), or a conditional generator",
            )
        _, encoder = self._averaged_synthesis()
        return encoder(padded_to_frames(waveform, self.latent_hop_samples))

    def decode_latent(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """G; see `HasLatents.decode_latent`."""
        generator = self._averaged_synthesis()[0]
        if self.is_conditional:
            return generator(latent)[..., :num_samples]
        clips = generator(latent.transpose(1, 2).flatten(0, 1))  # (N * L, C, clip_samples)
        # both sizes named: -1 would tie exported graphs to one batch size
        pieces = clips.unflatten(0, (latent.shape[0], latent.shape[2]))  # (N, L, C, clip_samples)
        return pieces.transpose(1, 2).flatten(2)[..., :num_samples]

    def _averaged_synthesis(self) -> nn.ModuleList:
        """`_synthesis` as audio is made with outside training: the moving averages, if there are any."""
        return self._synthesis() if self.average is None else cast(nn.ModuleList, self.average.network)


def twice(notes: NoteBatch) -> NoteBatch:
    """The notes of 2 B clips: these, and these again."""
    return NoteBatch(*(torch.cat([each, each]) for each in notes))
