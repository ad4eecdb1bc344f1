"""TensorBoard's event files of a run that is continued: what the continued run writes again is cut out of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqlab import durable
from seqlab.types import InputError

KEPT = "events.out.tfevents.0000000000.kept"
"""The file that holds what stays. It sorts before all others, whatever the clock said: TensorBoard reads by name."""

LARGEST_EVENTS = 1 << 30
"""Bytes of all event files of a run: what stays of them is held in memory."""


def cut_events(run_dir: Path, step: int) -> None:
    """Keep the events of the training up to ``step``, once each, in one file; drop all others, and every report's.

    A report (figures, tables, test metrics, HParams) is written again when the run ends. TensorBoard's own
    ``purge_step`` is not enough: it depends on file names, which hold the time, and spares what stands at ``step``.
    Killed at any moment, at worst some events are there twice until the next call.

    Raises:
        InputError: the files are larger than any that seqlab writes.
    """
    files = sorted(path for path in run_dir.glob("*tfevents*") if path.is_file() and not path.name.startswith("."))
    if not files:
        return
    if sum(path.stat().st_size for path in files) > LARGEST_EVENTS:
        raise InputError(
            f"{run_dir} holds more than {LARGEST_EVENTS / 1e6:,.0f} MB of TensorBoard's event files, so they are not "
            "read: move them out of the run folder."
        )
    kept: dict[bytes, None] = {}
    for path in files:
        kept.update(dict.fromkeys(record for record in _records(path) if _stays(record, step)))
    # The file's first record: its version. Without one TensorBoard guesses at what was superseded.
    durable.write_bytes(run_dir / KEPT, b"".join(map(_framed, [_version(), *kept])))
    for path in files:
        if path.name != KEPT:
            path.unlink(missing_ok=True)


def of_report(tag: str, is_scalar: bool = True) -> bool:
    """Whether the report wrote it, rather than the training: all but curves and samples."""
    if tag.startswith(("test/", "val/best_", "_hparams_/")):
        return True
    return not is_scalar and not tag.startswith("samples")


def _stays(record: bytes, step: int) -> bool:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    try:
        event = Event.FromString(record)
    except DecodeError:
        return False
    if event.WhichOneof("what") != "summary" or event.step > step:
        return False
    return not any(of_report(value.tag, _is_scalar(value)) for value in event.summary.value)


def _is_scalar(value: Any) -> bool:
    return value.WhichOneof("value") == "simple_value" or value.metadata.plugin_data.plugin_name == "scalars"


def _records(path: Path) -> Iterator[bytes]:
    """The whole records of an event file; one that a kill cut short, or a damaged one, ends it."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    yield from RawEventFileLoader(str(path)).Load()


def _version() -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(file_version="brain.Event:2").SerializeToString()


def _framed(record: bytes) -> bytes:
    """A record as event files hold it: length, its checksum, the bytes, their checksum."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    length = struct.pack("<Q", len(record))
    return b"".join(
        (length, struct.pack("<I", masked_crc32c(length)), record, struct.pack("<I", masked_crc32c(record)))
    )
