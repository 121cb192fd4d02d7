"""The commonest mistakes in a command line, and their answers: two lines, and what was meant."""

import re
from pathlib import Path

import lightning.pytorch  # noqa: F401 (its log keeps the stream of the test that imports it first)
import pytest

from lightning_modules.cli import main

ROOT = Path(__file__).parents[3]
FIT = "fit --config experiments/vae.yaml "
MISTAKES = {
    "fot": ("'fot' is not a verb of this program", "did you mean lightning fit?"),
    "fit": ("nothing says what to train", "lightning fit --config experiments/vae.yaml"),
    "test": ("nothing says what to test", "lightning test --ckpt_path runs/…/checkpoints/best.ckpt"),
    "generate": ("lightning generate needs checkpoint", "lightning generate runs/…/checkpoints/best.ckpt"),
    "fit --config": ("--config stands without a value", "give one after it, or leave out --config"),
    "fit experiments/vae.yaml": (
        "'experiments/vae.yaml' stands without an option",
        "write --config experiments/vae.yaml",
    ),
    "fit -config experiments/vae.yaml": ("-config has one hyphen", "write --config"),
    "fit --config experiments/vea.yaml": (
        "--config experiments/vea.yaml: no such file",
        "did you mean experiments/vae.yaml?",
    ),
    "fit --config vea": ("--config vea: no such file", "did you mean vae?"),
    "fit --config hardware/gpo": ("--config hardware/gpo: no such file", "did you mean hardware/gpu?"),
    "fit --config quartet": (
        "--config quartet: no such file",
        "there are note_prior, transcriber, vae, vae_44k, vae_500, wavegan, wavegan_conditional, "
        "wavegan_notes",
    ),
    FIT + "--trainer.callbacks+=lightning.pytorch.callbacks.StochasticWeightAveraging": (
        "--trainer.callbacks: StochasticWeightAveraging needs swa_lrs",
        "give --trainer.callbacks.swa_lrs",
    ),
    FIT + "--max_steps 10": (
        "--max_steps is no option of `lightning fit`",
        "did you mean --trainer.max_steps?",
    ),
    FIT + "--batch_size 4": (
        "--batch_size is no option of `lightning fit`",
        "did you mean --data.batch_size?",
    ),
    "generate x.ckpt --secondss 3": (
        "--secondss is no option of `lightning generate`",
        "did you mean --seconds?",
    ),
    FIT + "--data.batchsize 4": (
        "--data.batchsize: MaestroDataModule has no option 'batchsize'",
        "did you mean --data.batch_size?",
    ),
    FIT + "--model.encoder.lvls 4": (
        "--model.encoder.lvls: WaveletEncoder has no option 'lvls'",
        "did you mean --model.encoder.levels?",
    ),
    FIT + "--model.optimizer.learning_rate 0.1": (
        "--model.optimizer.learning_rate: AdamW has no option 'learning_rate'",
        "did you mean --model.optimizer.lr?",
    ),
    FIT + "--data.batch_size four": ("--data.batch_size is 'four'", "give a whole number"),
    FIT + "--data.flip_polarity maybe": ("--data.flip_polarity is 'maybe'", "give true or false"),
    FIT + "--data.years 2009,2011": ("--data.years is '2009,2011'", "give a list, as [1, 2] or null"),
    FIT + "--model.optimizer.lr big": ("--model.optimizer.lr is 'big'", "give a number"),
    FIT + "--trainer.precision bf17": (
        "--trainer.precision is 'bf17'",
        "did you mean bf16? It takes 64, 32, 16, transformer-engine, transformer-engine-float16, 16-true, "
        "16-mixed, bf16-true, bf16-mixed, 32-true, 64-true, bf16",
    ),
    "export x.ckpt --format onx": ("--format is 'onx'", "did you mean onnx? It takes pt2, onnx, safetensors"),
    FIT + "--model Vae": ("--model: there is no class Vae", "did you mean lightning_modules.VAE?"),
    FIT + "--model.encoder WaveletEncodr": (
        "--model.encoder: there is no class WaveletEncodr",
        "did you mean lightning_modules.networks.WaveletEncoder?",
    ),
    FIT + "--model.encoder WaveletDecoder": (
        "--model.encoder: WaveletDecoder is known by its full name only",
        "write lightning_modules.networks.WaveletDecoder",
    ),
    FIT + "--trainer.callbacks+=EarlyStoping": (
        "--trainer.callbacks: there is no class EarlyStoping",
        "did you mean lightning.pytorch.callbacks.EarlyStopping?",
    ),
    FIT + "--data.release v4": (
        "release='v4' is not a known release",
        "choose one of: mini, v1.0.0, v2.0.0, v3.0.0",
    ),
    "fit --model VAE --data MaestroDataModule": (
        "--model: VAE needs encoder, prior, likelihood, kl_weight",
        "give --model.encoder, --model.prior, --model.likelihood, --model.kl_weight, or begin with "
        "--config experiments/vae.yaml",
    ),
    "fit --config experiments/wavegan.yaml --config experiments/ablations/cyclical_kl.yaml": (
        "--model.kl_weight: WaveGAN has no 'kl_weight', so this file is not for that experiment",
        "put an overlay over the experiment that its first lines name",
    ),
    "fit --config experiments/ablations/cyclical_kl.yaml": (
        "--model.kl_weight: nothing says which model it is of",
        "put it over an experiment, as in --config experiments/vae.yaml --config …",
    ),
    FIT + "--config {tmp}/top.yaml": (
        "'modell.class_path': an experiment has no section 'modell'",
        "did you mean model?",
    ),
    FIT + "--config {tmp}/trainer.yaml": (
        "'trainer.max_step' is no option",
        "did you mean trainer.max_steps?",
    ),
    FIT + "--config {tmp}/tab.yaml": (
        "{tmp}/tab.yaml is no YAML: line 2: found character '\\t' that cannot start any token",
        "correct it, or give other options with --config FILE.yaml",
    ),
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A function that gives the answer to a command line."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "top.yaml").write_text("modell:\n  class_path: lightning_modules.VAE\n")
    (tmp_path / "trainer.yaml").write_text("trainer: {max_step: 1}\n")
    (tmp_path / "tab.yaml").write_text("model:\n\tclass_path: lightning_modules.VAE\n")

    def tell(command: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(command.format(tmp=tmp_path).split())
        assert end.value.code in (1, 2)
        error = capsys.readouterr().err
        return error.replace(str(tmp_path), "{tmp}")

    return tell


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_in_two_lines(told, command: str) -> None:
    problem, remedy = MISTAKES[command]
    said = re.sub(r"^(INFO: )?Seed set to 0\n", "", told(command))  # Lightning's, before the data are made
    assert said == f"error: {problem}\n  What to do: {remedy}\n"


def test_all_of_it_is_shown_to_who_looks_for_the_reason(monkeypatch: pytest.MonkeyPatch, told) -> None:
    monkeypatch.setenv("LIGHTNING_DEBUG", "1")
    assert "Union subtypes" in told(FIT + "--data.batch_size four")
