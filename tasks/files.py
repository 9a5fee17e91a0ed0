"""Files that are either whole or absent, and sealed ones that say whether they still are."""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SEAL = 32  # bytes of a sha256: zip's own checksums miss damaged headers


@contextmanager
def replacing(path: Path) -> Iterator[io.BufferedRandom]:
    """A temporary file beside `path` to write to; flushed to the disk, then renamed into place.

    Raises OSError (disk full, read-only directory) and leaves what was there before untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace the content of `path` in one step; errors as in `replacing`."""
    with replacing(path) as file:
        file.write(content)


def write_sealed(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace `path` by an npz archive of `arrays` with its sha256 behind; errors as above."""
    with replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.seek(0)
        seal = hashlib.file_digest(file, "sha256").digest()  # leaves the file at its end
        file.write(seal)


def read_sealed(path: Path) -> dict[str, Any]:
    """The arrays of a sealed file; never loads a pickle. Raises OSError, or ValueError if damaged.

    The first caches of Omniglot had their seal in front.
    """
    stored = path.read_bytes()
    behind, before = (stored[:-SEAL], stored[-SEAL:]), (stored[SEAL:], stored[:SEAL])
    for archive, seal in (behind, before):
        if hashlib.sha256(archive).digest() == seal:
            with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
                return dict(arrays)
    raise ValueError("its checksum does not fit")
