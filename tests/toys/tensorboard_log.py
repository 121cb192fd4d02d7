"""Reading back what TensorBoard was given."""

from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData


class TensorBoardLog(NamedTuple):
    """All that an event file holds, by tag; values by step.

    Attributes:
        scalars: Numbers.
        audio: Bytes of WAV files.
        images: Bytes of PNG files.
        texts: Markdown.
        options: Hyper-parameters.
    """

    scalars: dict[str, dict[int, float]]
    audio: dict[str, dict[int, bytes]]
    images: dict[str, dict[int, bytes]]
    texts: dict[str, dict[int, str]]
    options: dict[str, float | str | bool]


def read_log(folder: Path) -> TensorBoardLog:
    """What TensorBoard would show of a folder."""
    log = EventAccumulator(
        str(folder), size_guidance={kind: 0 for kind in ("scalars", "audio", "images", "tensors")}
    )
    log.Reload()
    tags = log.Tags()
    return TensorBoardLog(
        scalars={tag: {each.step: each.value for each in log.Scalars(tag)} for tag in tags["scalars"]},
        audio={
            tag: {each.step: each.encoded_audio_string for each in log.Audio(tag)} for tag in tags["audio"]
        },
        images={
            tag: {each.step: each.encoded_image_string for each in log.Images(tag)} for tag in tags["images"]
        },
        texts={
            tag.removesuffix("/text_summary"): {
                each.step: each.tensor_proto.string_val[0].decode() for each in log.Tensors(tag)
            }
            for tag in tags["tensors"]
        },
        options=_options(log),
    )


def _options(log: EventAccumulator) -> dict[str, float | str | bool]:
    content = log.summary_metadata.get("_hparams_/session_start_info")
    if content is None:
        return {}
    start = HParamsPluginData.FromString(content.plugin_data.content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
