"""Symptoms of training gone wrong: one function for each place to look, without any state.

Each returns its diagnoses by the name of the problem: a `Symptom`, or None where it looked and all is well.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.metrics.frechet import Diversity


class Symptom(NamedTuple):
    """One thing that is wrong.

    Attributes:
        message: What was found, as a plain sentence.
        advice: What to try.
    """

    message: str
    advice: str


Diagnoses = dict[str, Symptom | None]

SILENCE_DB = 40.0
"""Audio this much softer than the recordings counts as silent: piano music moves within about 40 dB."""
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01
LARGEST_OFFSET = 0.05
"""Share of full scale; recordings have less than 0.001."""
LEAST_DIVERSITY = 0.05
EXPLOSION_FACTOR, EXPLOSION_STEPS = 100.0, 3
"""A norm that far above the usual, so often among the last ones; a single outlier is no explosion."""
SCALER_STEPS = 20
"""A loss scaler starts at 2^16 and halves at every overflow: more in a row means that it finds no scale."""
LOW_KL_RATE, LEAST_KL_RATE = 20.0, 1.0
"""Nats per second of audio. Music takes hundreds."""
LEAST_ACTIVE_SHARE = 0.1
WON_ACCURACY, WON_LOSS = 0.99, 0.2
"""An untrained critic has a loss of 1 to 2."""
LOST_ACCURACY = 0.505
"""Chance, and a little more for rounding."""


def level_db(waveform: Tensor) -> Tensor:
    """Level of each clip (B, C, T) without its mean, in dB relative to full scale, at least -120: (B,)."""
    return 20.0 * waveform.flatten(1).std(1, correction=0).clamp_min(1e-6).log10()


def clipped_share(waveform: Tensor) -> Tensor:
    """Share of the samples of each clip (B, C, T) that are at full scale: (B,)."""
    return (waveform.flatten(1).abs() >= FULL_SCALE).float().mean(1)


def offset(waveform: Tensor) -> Tensor:
    """Distance of the mean of each clip (B, C, T) from zero (DC offset): (B,)."""
    return waveform.flatten(1).mean(1).abs()


def listen(generated: Tensor, real: Tensor, sample_rate: int, of: str) -> Diagnoses:
    """Judge what a model made beside recordings.

    Args:
        generated: (B, C, T).
        real: (B', C, T).
        sample_rate: In Hz.
        of: What was made: `samples` or `reconstructions`.

    Returns:
        Diagnoses named `non_finite/<of>`, `silence/<of>` and so on. Where one explains the others, only that.
    """
    if not torch.isfinite(generated).all():
        advice = "Go back to an earlier checkpoint with a lower learning rate."
        return {f"non_finite/{of}": Symptom(f"The {of} contain NaN or Inf.", advice)}
    level, real_level = level_db(generated).median().item(), level_db(real).median().item()
    clipped, real_clipped = clipped_share(generated).mean().item(), clipped_share(real).mean().item()
    mean, real_mean = offset(generated).median().item(), offset(real).median().item()
    silent, clips = level < real_level - SILENCE_DB, clipped > real_clipped + CLIPPED_SHARE
    found: Diagnoses = {
        "non_finite": None,
        "silence": _silence(of, level, real_level) if silent else None,
        "clipping": _clipping(of, clipped) if clips else None,
        "dc_offset": _dc_offset(of, mean) if mean > real_mean + LARGEST_OFFSET else None,
    }
    if not silent and min(len(generated), len(real)) > 1:
        found["mode_collapse"] = _mode_collapse(of, diversity(generated, real, sample_rate))
    return {f"{problem}/{of}": symptom for problem, symptom in found.items()}


def diversity(generated: Tensor, real: Tensor, sample_rate: int) -> float:
    """Mean distance between the clips of `generated` (B, C, T) over that of `real`; see `Diversity`."""
    metric = Diversity(sample_rate).to(generated.device)
    metric.update(generated, real)
    return metric.compute().item()


def _silence(of: str, level: float, real_level: float) -> Symptom:
    return Symptom(
        f"The {of} are silent: {level:.0f} dB, where the recordings have {real_level:.0f} dB.",
        "Give less weight to terms that silence satisfies (KL, penalties), lower the learning rate, and "
        "check that the last layer can reach the level of the recordings.",
    )


def _clipping(of: str, share: float) -> Symptom:
    return Symptom(
        f"The {of} clip: {share:.0%} of their samples are at full scale.",
        "Lower the learning rate of what makes the sound, or clip its gradients; an output that saturates "
        "gives hardly any gradient back.",
    )


def _dc_offset(of: str, mean: float) -> Symptom:
    return Symptom(
        f"The {of} have a DC offset: on average they lie {mean:.2f} of full scale from zero.",
        "Lower the learning rate; leave the bias out of the last layer; check the recordings for an offset.",
    )


def _mode_collapse(of: str, ratio: float) -> Symptom | None:
    if not ratio < LEAST_DIVERSITY:  # NaN where the recordings are all alike themselves
        return None
    advice = {
        "samples": "Lower the generator's learning rate, use more clips per batch, a gradient penalty, or a "
        "feature mapping that compares covariances as well (mode collapse).",
        "reconstructions": "The decoder ignores what it is given: lower the weight of the KL term or warm it "
        "up for longer, and check that the encoder's gradients are not zero.",
    }
    return Symptom(
        f"The {of} all sound alike: they differ by {ratio:.1%} of what recordings differ by.", advice[of]
    )


def examine_gradients(earlier: Sequence[float], latest: Sequence[float], scaled: bool, of: str) -> Diagnoses:
    """Judge the norms of one optimiser's gradients.

    Args:
        earlier: Norms of the steps before the latest.
        latest: Norms of the latest steps.
        scaled: Whether a loss scaler (16-mixed) looks after overflows, which then are normal.
        of: Words that name the optimiser, with a leading space, or nothing.

    Returns:
        Diagnoses named `non_finite_gradient` and `gradient_explosion`, followed by `of`.
    """
    bad = [not math.isfinite(norm) for norm in latest]
    usual = [norm for norm in earlier if math.isfinite(norm)]
    found: Diagnoses = {f"non_finite_gradient{of}": None}
    in_a_row = trailing([*earlier, *latest])
    if any(bad) and (not scaled or in_a_row >= SCALER_STEPS):
        found[f"non_finite_gradient{of}"] = Symptom(
            f"The gradients{of} were NaN or Inf in {sum(bad)} of the last {len(bad)} steps. "
            "These steps were left out: the weights are as they were before.",
            "Lower the learning rate, clip gradients, train in 32-true or bf16-mixed. If it began with the "
            "first step, look for a logarithm, root or division at zero in the loss, or for NaN in the data.",
        )
    if len(usual) >= EXPLOSION_STEPS and len(latest) >= EXPLOSION_STEPS:
        large = sorted(-math.inf if math.isnan(norm) else norm for norm in latest)[-EXPLOSION_STEPS]
        explodes = median(usual) * EXPLOSION_FACTOR < large < math.inf
        found[f"gradient_explosion{of}"] = _explosion(of, large, median(usual)) if explodes else None
    return found


def _explosion(of: str, large: float, usual: float) -> Symptom:
    return Symptom(
        f"The gradients{of} explode: norms of {large:.2g}, where {usual:.2g} was usual.",
        "Lower the learning rate, warm it up, or clip gradients (trainer.gradient_clip_val; in models with "
        "several optimisers, the model's own option).",
    )


def trailing(norms: Sequence[float]) -> int:
    """How many norms at the end are not finite, without a finite one between them."""
    count = 0
    for norm in reversed(norms):
        if math.isfinite(norm):
            break
        count += 1
    return count


def examine_losses(figures: Mapping[str, float]) -> Diagnoses:
    """Judge the logged losses of training by name."""
    for name, value in figures.items():
        if not math.isfinite(value):
            advice = "Find the term that is not finite among the logged ones, and the clip it comes from."
            return {"non_finite_loss": Symptom(f"{name} is {value}.", advice)}
    return {"non_finite_loss": None}


def examine_critic(accuracies: Sequence[float], losses: Sequence[float]) -> Diagnoses:
    """Judge a critic by its latest accuracies (0.5 is chance) and adversarial losses.

    A loss near zero beside an accuracy of one is the sign that the critic has nothing left to learn and the
    generator nothing to learn from (Chintala et al. 2016, "How to train a GAN?", tip 10). The loss of a
    Wasserstein critic that ranks well is negative: it may win as much as it can.
    """
    accuracy = fmean(accuracies)
    won = accuracy >= WON_ACCURACY and bool(losses) and 0.0 <= fmean(losses) <= WON_LOSS
    found: Diagnoses = {"critic_won": None, "critic_lost": None}
    if won:
        found["critic_won"] = Symptom(
            f"The critic has won: it rejects {accuracy:.1%} of what is generated and its loss is "
            f"{fmean(losses):.2g}, so the generator has nothing to learn from.",
            "Lower the critic's learning rate or its updates per step (AdaptiveUpdates does so by itself), "
            "raise the generator's, use phase shuffle or a gradient penalty.",
        )
    elif accuracy <= LOST_ACCURACY:
        found["critic_lost"] = Symptom(
            f"The critic has lost: it ranks recordings above generated clips in {accuracy:.0%} of all pairs, "
            "and chance is 50%.",
            "Listen: if the samples are good, training is done. If not, raise the critic's learning rate, "
            "its size or its updates per step, or lower the generator's learning rate.",
        )
    return found


def examine_posterior(active_units: float, most_active: float, kl_rate: float | None) -> Diagnoses:
    """Judge whether the latents still carry anything.

    Early in training few units are active though the KL term is large: the posterior is then narrow, not yet
    informative, and has not collapsed.

    Args:
        active_units: Number of latent dimensions that carry information.
        most_active: The largest such number of this run.
        kl_rate: Nats per second of audio, or None if unknown.
    """
    few = active_units < max(1.0, LEAST_ACTIVE_SHARE * most_active)
    least = LOW_KL_RATE if few else LEAST_KL_RATE
    if kl_rate >= least if kl_rate is not None else not few:
        return {"posterior_collapse": None}
    rate = "" if kl_rate is None else f", which carry {kl_rate:.2g} nats per second"
    units = "1 latent dimension is" if active_units == 1 else f"{active_units:.0f} latent dimensions are"
    return {
        "posterior_collapse": Symptom(
            f"The posterior has collapsed onto the prior: {units} active{rate}.",
            "Lower the weight of the KL term (kl_weight), warm it up for longer or cyclically, allow "
            "free_nats, or give the decoder less to guess with.",
        )
    }
