import pytest

from lightning_modules.cli import main, tool_verbs
from lightning_modules.cli.help import HelpText, with_class_of_help


def test_examples_come_last_and_stay_as_they_are():
    text = HelpText.of("Do a thing.\n\n  lightning thing a.ckpt --x 1\n\nIt takes " + "very " * 30 + "long.")
    assert text.examples == "examples:\n  lightning thing a.ckpt --x 1"
    assert text.description.startswith("Do a thing.\n\nIt takes very")
    assert max(map(len, text.description.split("\n"))) <= 78


@pytest.mark.parametrize("verb", sorted(tool_verbs()))
def test_help_of_tool_verbs_fits_80_columns(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = capsys.readouterr().out
    assert " at 0x" not in shown
    assert f"\n  lightning {verb}" in shown[shown.index("examples:") :]
    assert max(map(len, shown.split("\n"))) <= 100  # a long command is not broken


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        (["fit", "--data.help"], ["fit", "--data.help=datamodules.MaestroDataModule"]),
        (["fit", "--model.help"], ["fit", "--model.help=VAE"]),
        (
            ["fit", "--model", "WaveGAN", "--model.help"],
            ["fit", "--model", "WaveGAN", "--model.help=WaveGAN"],
        ),
        (["fit", "--model.help", "WaveGAN"], ["fit", "--model.help", "WaveGAN"]),
    ],
)
def test_a_bare_help_option_is_about_the_chosen_class(given, completed):
    assert with_class_of_help(given, ["VAE", "WaveGAN"]) == completed


def test_the_class_is_read_from_a_configuration_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: {class_path: lightning_modules.WaveGAN}\n")
    given = ["fit", "--config", str(path), "--model.help"]
    assert with_class_of_help(given, ["VAE"])[-1] == "--model.help=lightning_modules.WaveGAN"


def test_help_of_fit_says_where_the_options_of_model_and_data_are(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    shown = capsys.readouterr().out
    assert "lightning fit --model.help VAE" in shown and "lightning fit --data.help" in shown


def test_help_of_the_data_lists_its_options(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--data.help"])
    assert "--data.batch_size BATCH_SIZE" in capsys.readouterr().out
