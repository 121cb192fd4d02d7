"""Reading the log that W&B keeps of a run on disk, `run-<id>.wandb`.

The file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md): blocks of 32 KiB
hold fragments, each with a header of 7 bytes: checksum (4, little-endian), length (2), type (1: whole,
2: first, 3: middle, 4: last). Seven bytes that W&B puts before the first block count as part of it. Each
entry is a `Record` of wandb's protocol.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK_BYTES = 32_768
_HEADER = struct.Struct("<IHB")
_FILE_HEADER_BYTES = 7
_MAGIC = b":W&B"
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[Any]:
    """The records (`wandb.proto`'s `Record`) of a `.wandb` file in order, up to where it was cut off.

    Raises:
        ValueError: If it is not such a file.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made at run time

    for entry in _entries(path):
        yield Record.FromString(entry)


def _entries(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        raise ValueError(f"{path} is not a W&B log: it begins with {content[:4]!r}, not {_MAGIC!r}")
    entry, position = b"", _FILE_HEADER_BYTES
    while True:
        left_in_block = BLOCK_BYTES - position % BLOCK_BYTES
        if left_in_block < _HEADER.size:
            position += left_in_block
        if position + _HEADER.size > len(content):
            return
        _, length, kind = _HEADER.unpack_from(content, position)
        start = position + _HEADER.size
        position = start + length
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or position > len(content):
            return  # cut off by a kill
        entry = content[start:position] if kind in (_WHOLE, _FIRST) else entry + content[start:position]
        if kind in (_WHOLE, _LAST):
            yield entry


def history(path: Path) -> Iterator[dict[str, Any]]:
    """The logged rows of a `.wandb` file, W&B's own values (`_step`, `_timestamp` …) among them."""
    for record in read_records(path):
        if record.WhichOneof("record_type") == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *outer, last = item.nested_key or [item.key]
                place = row
                for name in outer:
                    place = place.setdefault(name, {})
                place[last] = json.loads(item.value_json)
            yield row
