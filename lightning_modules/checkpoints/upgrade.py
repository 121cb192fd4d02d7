"""Descriptions in checkpoints and density files of an older format, brought to the present one.

Format 2 names classes as their rooms export them (`lightning_modules.networks.WaveletEncoder`), and its
wavelet networks and decoders have plain numbers in place of the networks that they now build; log-mel
features are counted over all channels. Weights keep their names.
"""

from collections.abc import Callable
from typing import Any

from lightning_modules.errors import CheckpointError

FORMAT = 2
"""Of the checkpoints and density files that this version writes."""

ROOMS = ("networks", "distributions", "losses", "schedules")
"""Packages whose classes format 1 named by the file that they were in."""

RENAMED = {
    "lightning_modules.vae.VAE": "lightning_modules.VAE",
    "lightning_modules.wavegan.WaveGAN": "lightning_modules.WaveGAN",
    "lightning_modules.networks.MultirateEncoder": "lightning_modules.networks.StridedEncoder",
    "lightning_modules.networks.MultirateDecoder": "lightning_modules.networks.StridedDecoder",
}

Description = dict[str, Any]
"""`{"class_path": …, "init_args": {…}}`."""


def upgraded(content: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Bring the description in a file to the present format.

    Args:
        content: With the keys `format` and `name`; not changed.
        name: Key of the description: `module` in a checkpoint, `density` in a density file.
        where: Path of the file, for errors.

    Returns:
        The content in the present format.

    Raises:
        CheckpointError: If its format is unknown, or holds networks that can no longer be built.
    """
    number = content.get("format")
    if number == FORMAT:
        return content
    if number != 1:
        raise CheckpointError(
            f"{where} has the format {number!r}; this version reads the formats 1 to {FORMAT}",
            f"install the version that wrote it: {content.get('versions', 'a newer one')}",
        )
    try:
        return {**content, "format": FORMAT, name: from_format_1(content[name])}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{where} has the format 1, and a description that no version has written ({error!r})",
            "use another checkpoint of the run",
        ) from error


def from_format_1(value: Any) -> Any:  # noqa: ANN401 (any part of a description)
    """Upgrade a value and all that lies in it: the new description, or the value as it is."""
    if isinstance(value, list):
        return [from_format_1(item) for item in value]
    if not isinstance(value, dict):
        return value
    new = {key: from_format_1(item) for key, item in value.items()}
    if isinstance(new.get("class_path"), str):
        new["class_path"] = exported_path(new["class_path"])
        change = _ARGUMENTS.get(new["class_path"])
        if change is not None:
            new["init_args"] = change(new["init_args"])
    return new


def exported_path(class_path: str) -> str:
    """The name under which a room exports a class that format 1 named by its file."""
    package, *parts = class_path.split(".")
    if package == "lightning_modules" and len(parts) == 3 and parts[0] in ROOMS:
        class_path = f"{package}.{parts[0]}.{parts[2]}"
    return RENAMED.get(class_path, class_path)


def _strided_decoder(old: Description) -> Description:
    head = old["head"]
    sizes, rest = _head_parts(head)
    return {
        "latent_size": old["latent_size"],
        "widths": old["widths"],
        "strides": [*old["strides"], sizes["hop_samples"]],
        "channels": sizes["channels"],
        "num_units": old["num_units"],
        "waveform_head": {"class_path": head["class_path"], "init_args": rest},
    }


def _convnext_decoder(old: Description) -> Description:
    head = old["head"]
    sizes, rest = _head_parts(head)
    kept = {name: value for name, value in old.items() if name != "head"}
    return {**kept, **sizes, "waveform_head": {"class_path": head["class_path"], "init_args": rest}}


def _head_parts(head: Description) -> tuple[Description, Description]:
    """The numbers that a decoder now gives its head, and the head's other arguments."""
    arguments = dict(head["init_args"])
    return {name: arguments.pop(name) for name in ("hidden_size", "hop_samples", "channels")}, arguments


def _wavelet(part: str, strided: str) -> Callable[[Description], Description]:
    """Arguments of a wavelet network from those of the strided one inside it, whose channels are bands."""

    def flatten(old: Description) -> Description:
        inner, packets = old[part], old["packets"]["init_args"]
        if inner["class_path"] != strided:
            raise CheckpointError(
                f"The checkpoint has wavelet packets around a {inner['class_path']}, which no class of this "
                "version builds",
                "install version 0.1.0 to open it",
            )
        channels = inner["init_args"]["channels"] >> packets["levels"]
        return {**inner["init_args"], **packets, "channels": channels, "hop_samples": None}

    return flatten


def _log_mel_features(old: Description) -> Description:
    kept = {name: value for name, value in old.items() if name != "num_mels"}
    return {**kept, "feature_size": old["num_mels"] * old["channels"]}


_NETWORKS = "lightning_modules.networks"
_ARGUMENTS: dict[str, Callable[[Description], Description]] = {
    f"{_NETWORKS}.StridedDecoder": _strided_decoder,
    f"{_NETWORKS}.ConvNeXtDecoder": _convnext_decoder,
    f"{_NETWORKS}.WaveletEncoder": _wavelet("encoder", f"{_NETWORKS}.StridedEncoder"),
    f"{_NETWORKS}.WaveletDecoder": _wavelet("decoder", f"{_NETWORKS}.StridedDecoder"),
    f"{_NETWORKS}.LogMelFeatures": _log_mel_features,
}
"""Functions that bring the arguments of a class from format 1 to format 2, by class path."""
