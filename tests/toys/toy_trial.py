"""A trial of a sweep that ends at once: takes the options of `lightning fit`, writes what it would write.

The loss is that of a bowl with its bottom at x = 0.3, y = 2; the default options lie at x = 0.9, y = 0.
"""

import argparse
import os
import signal
import time
from pathlib import Path

import yaml


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs_dir", type=Path, required=True)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--run_id", required=True)
    parser.add_argument("--model.init_args.x", dest="x", type=float, default=0.9)
    parser.add_argument("--model.init_args.y", dest="y", type=float, default=0.0)
    parser.add_argument("--fail_above", type=float, default=9.0)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--kill_parent_at", default="")
    options = parser.parse_args()
    folder = options.runs_dir / options.experiment / options.run_id
    folder.mkdir(parents=True)
    config = {"model": {"class_path": "Toy", "init_args": {"x": options.x, "y": options.y}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if options.run_id == options.kill_parent_at:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60.0)
    if options.x > options.fail_above:
        raise SystemExit(f"error: x is {options.x}\n  What to do: give less")
    metrics = folder / "metrics" / "version_0" / "metrics.csv"
    metrics.parent.mkdir(parents=True)
    loss = (options.x - 0.3) ** 2 + 0.01 * (options.y - 2.0) ** 2
    with metrics.open("w") as file:
        file.write("epoch,step,train/loss,val/loss\n")
        for epoch in range(4):
            time.sleep(options.sleep)
            file.write(f"{epoch},{epoch},0.5,\n{epoch},{epoch},,{loss + 1.0 / (epoch + 1)}\n")
            file.flush()


if __name__ == "__main__":
    main()
