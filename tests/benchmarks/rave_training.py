"""Trains a RAVE model for some seconds of wall-clock time, as a program in RAVE's own virtual environment.

    python rave_training.py --config v1 --audio train.npz --clips clips.npy --seconds 60 --output folder

RAVE's own classes, gin configuration, losses and optimisers do the work: the loop calls the training step
of `rave.RAVE` with the logging left out, and moves its β as its BetaWarmupCallback does. Its command line
would need its own database of the audio, and stops by steps, not by time. In these configurations
adversarial training begins after 10⁶ steps, so it is never reached. Changed are the sample rate, and for v1
the latent size (256), so that it has 2,000 latent values a second at 16 kHz as the rival has; v2_small has
4,000.

Every `--every` seconds of training, evaluation not counted, it writes the reconstructions of the clips.
After training it waits: each line on standard input is answered by the seconds that encoding and decoding
the first clip took, so that several models can be timed by turns.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cached_conv
import gin
import numpy as np
import rave
import rave.core
import torch

OVERRIDES = {"v1": ["LATENT_SIZE = 256"], "v2_small": []}


def build(config: str, sample_rate: int) -> rave.RAVE:
    """The model of one of RAVE's configurations."""
    cached_conv.use_cached_conv(False)
    gin.parse_config_files_and_bindings(
        [f"{config}.gin"], [f"SAMPLING_RATE = {sample_rate}", *OVERRIDES[config]]
    )
    model = rave.RAVE(n_channels=1)
    optimizers = [one["optimizer"] for one in model.configure_optimizers()]
    # what a Trainer would lend to the training step
    model.optimizers = lambda: optimizers
    model.log = model.log_dict = lambda *arguments, **options: None
    if model.valid_signal_crop:
        # RAVE measures it at its first validation; the losses then leave out the clips' borders
        left, right = rave.core.get_rave_receptive_field(model, n_channels=1)
        model.receptive_field[0], model.receptive_field[1] = left, right
    return model.train()


def batches(path: Path, batch_size: int, num_samples: int):
    """Random clips (B, 1, T) of performances chosen by their length, without end."""
    performances = list(np.load(path).values())
    random = np.random.default_rng(0)
    weights = np.array([max(0, len(one) - num_samples) for one in performances], dtype=float)
    while True:
        clips = []
        for row in random.choice(len(performances), batch_size, p=weights / weights.sum()):
            start = random.integers(len(performances[row]) - num_samples)
            clips.append(performances[row][start : start + num_samples])
        yield torch.from_numpy(np.stack(clips)).float()[:, None] / 32768.0


@torch.no_grad()
def reconstruct(model: rave.RAVE, clips: torch.Tensor) -> torch.Tensor:
    """(B, 1, T) from the means of the latents, without noise."""
    length = clips.shape[-1]
    padded = torch.nn.functional.pad(clips, (0, -length % 32768))
    mean = model.encode(padded).chunk(2, dim=1)[0]
    return model.decode(mean)[..., :length].clamp(-1, 1)


def answer_with_times(model: rave.RAVE, clip: torch.Tensor) -> None:
    """One line out for each line in."""
    for _ in sys.stdin:
        start = time.perf_counter()
        reconstruct(model, clip)
        print(f"seconds {time.perf_counter() - start}", flush=True)


def main() -> None:
    """Train, and write what the clips sound like on the way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", choices=OVERRIDES, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--every", type=float, default=120.0)
    parser.add_argument("--sample_rate", type=int, default=16000)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--num_samples", type=int, default=65536)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = build(options.config, options.sample_rate)
    beta = rave.BetaWarmupCallback()
    clips = torch.from_numpy(np.load(options.clips))
    options.output.mkdir(parents=True, exist_ok=True)
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
            model.eval()
            np.save(
                options.output / f"{step}.npy", torch.cat([reconstruct(model, c) for c in clips.split(1)])
            )
            rows.append({"seconds": trained, "step": step})
            model.train()
    model.eval()
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    summary = {
        "milestones": rows,
        "parameters": sum(p.numel() for p in networks),
        "batch_size": options.batch_size,
        "num_samples": options.num_samples,
    }
    (options.output / "summary.json").write_text(json.dumps(summary))
    print("trained", flush=True)
    answer_with_times(model, clips[:1])


if __name__ == "__main__":
    main()
