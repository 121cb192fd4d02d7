"""Trains a RAVE model for some seconds of wall-clock time, as a program in RAVE's own virtual environment.

    python rave_training.py --config v1 --audio train.npz --clips clips.npy --seconds 60 --output folder

RAVE's own classes, gin configuration, losses and optimisers do the work: the loop calls the training step
of `rave.RAVE` with the logging left out, and moves its β as its BetaWarmupCallback does. Its command line
would need its own database of the audio, and stops by steps, not by time. In these configurations
adversarial training begins after 10⁶ steps, so it is never reached. Batches and clips are those of RAVE's
command. Changed are the sample rate, the number of channels, and the latent size where it is too small for
`--values_per_second`: with 2,000 at 16 kHz, v1 has 256 in the place of 128.

Every `--every` seconds of training, evaluation not counted, it writes the reconstructions of the clips, from
means of the posterior and from draws, and what these cost. At the end it writes the weights; where they lie
already, it trains nothing, and only reconstructs. Then it waits: each line on standard input is answered by
the seconds that encoding and decoding the first clip took, so that several models can be timed by turns.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import cached_conv
import gin
import numpy as np
import rave
import rave.core
import torch


def configure(config: str, sample_rate: int, values_per_second: float) -> float:
    """Parses a configuration, with enough latents; returns how many values there are in a second."""
    bindings = [f"SAMPLING_RATE = {sample_rate}"]
    gin.parse_config_files_and_bindings([f"{config}.gin"], bindings, finalize_config=False)
    latent_size, bands, ratios = (
        gin.query_parameter(f"%{name}") for name in ("LATENT_SIZE", "N_BAND", "RATIOS")
    )
    frames_per_second = sample_rate / (bands * math.prod(ratios))
    latent_size = max(latent_size, math.ceil(values_per_second / frames_per_second))
    gin.bind_parameter("%LATENT_SIZE", latent_size)
    return latent_size * frames_per_second


def build(channels: int) -> rave.RAVE:
    """The model that is configured."""
    cached_conv.use_cached_conv(False)
    model = rave.RAVE(n_channels=channels)
    optimizers = [one["optimizer"] for one in model.configure_optimizers()]
    # what a Trainer would lend to the training step
    model.optimizers = lambda: optimizers
    model.log = model.log_dict = lambda *arguments, **options: None
    if model.valid_signal_crop:
        # RAVE measures it at its first validation; the losses then leave out the clips' borders
        left, right = rave.core.get_rave_receptive_field(model, n_channels=channels)
        model.receptive_field[0], model.receptive_field[1] = left, right
    return model.train()


def batches(path: Path, batch_size: int, num_samples: int):
    """Random clips (B, C, T) of performances (T, C) chosen by their length, without end."""
    performances = list(np.load(path).values())
    random = np.random.default_rng(0)
    weights = np.array([max(0, len(one) - num_samples) for one in performances], dtype=float)
    while True:
        clips = []
        for row in random.choice(len(performances), batch_size, p=weights / weights.sum()):
            start = random.integers(len(performances[row]) - num_samples)
            clips.append(performances[row][start : start + num_samples].T)
        yield torch.from_numpy(np.stack(clips)).float() / 32768.0


@torch.no_grad()
def encode(model: rave.RAVE, clip: torch.Tensor) -> torch.Tensor:
    """(1, 2 Z, L) of a clip (1, C, T) with silence to a whole number of frames: means and scales."""
    return model.encode(torch.nn.functional.pad(clip, (0, -clip.shape[-1] % 32768)))


@torch.no_grad()
def reconstruct(model: rave.RAVE, clip: torch.Tensor) -> torch.Tensor:
    """(1, C, T) from the means of the latents."""
    mean = encode(model, clip).chunk(2, dim=1)[0]
    return model.decode(mean)[..., : clip.shape[-1]].clamp(-1, 1)


@torch.no_grad()
def reconstruct_from_draw(model: rave.RAVE, clip: torch.Tensor) -> tuple[torch.Tensor, float]:
    """(1, C, T) from a draw, as RAVE's training and validation do, and KL(q(z|x) ‖ N(0, 1)) in nats."""
    draw, regularisation = model.encoder.reparametrize(encode(model, clip))
    output = model.decode(draw)
    frames = draw.shape[-1] * clip.shape[-1] / output.shape[-1]
    kl = 0.5 * frames * regularisation.item()  # RAVE's is a mean over frames, without the half of the formula
    return output[..., : clip.shape[-1]].clamp(-1, 1), kl


def milestone(model: rave.RAVE, clips: torch.Tensor, folder: Path, seconds: float, step: int) -> dict:
    """Writes what the clips (B, C, T) sound like; returns when that was, and the KL of each."""
    model.eval()
    means = [reconstruct(model, clip) for clip in clips.split(1)]
    draws, kl = zip(*(reconstruct_from_draw(model, clip) for clip in clips.split(1)), strict=True)
    np.savez(folder / f"{step}.npz", mean=torch.cat(means), draw=torch.cat(draws))
    model.train()
    return {"seconds": seconds, "step": step, "kl": kl}


def train(model: rave.RAVE, clips: torch.Tensor, options: argparse.Namespace) -> list[dict]:
    """Trains for some time, writes what the clips sound like on the way, and says when that was."""
    beta = rave.BetaWarmupCallback()
    rows, trained, step, due = [], 0.0, 0, options.every
    source = batches(options.audio, options.batch_size, options.num_samples)
    while trained < options.seconds:
        start = time.perf_counter()
        beta.on_train_batch_start(None, model, None, step)
        model.training_step(next(source), step)
        step += 1
        trained += time.perf_counter() - start
        if trained >= due or trained >= options.seconds:
            due += options.every
            rows.append(milestone(model, clips, options.output, trained, step))
    return rows


def answer_with_times(model: rave.RAVE, clip: torch.Tensor) -> None:
    """One line out for each line in."""
    for _ in sys.stdin:
        start = time.perf_counter()
        reconstruct(model, clip)
        print(f"seconds {time.perf_counter() - start}", flush=True)


def main() -> None:
    """Train, unless that was done, and answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--every", type=float, default=120.0)
    parser.add_argument("--sample_rate", type=int, default=16000)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--values_per_second", type=float, default=0.0, help="at least")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--num_samples", type=int, default=131072)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    values_per_second = configure(options.config, options.sample_rate, options.values_per_second)
    model = build(options.channels)
    clips = torch.from_numpy(np.load(options.clips))
    options.output.mkdir(parents=True, exist_ok=True)
    weights, report = options.output / "weights.pt", options.output / "summary.json"
    if weights.exists():
        model.load_state_dict(torch.load(weights))
        last = json.loads(report.read_text())["milestones"][-1]
        rows = [milestone(model, clips, options.output, last["seconds"], last["step"])]
    else:
        rows = train(model, clips, options)
        torch.save(model.state_dict(), weights)
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    summary = {
        "milestones": rows,
        "parameters": sum(p.numel() for p in networks),
        "values_per_second": values_per_second,
        "batch_size": options.batch_size,
        "num_samples": options.num_samples,
    }
    report.write_text(json.dumps(summary))
    model.eval()
    print("trained", flush=True)
    answer_with_times(model, clips[:1])


if __name__ == "__main__":
    main()
