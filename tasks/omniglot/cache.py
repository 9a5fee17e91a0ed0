"""The decoded drawings in the user's cache, from where a run loads them without TFDS."""

from pathlib import Path

from tasks import cache
from tasks.files import read_sealed, write_sealed
from tasks.images import SIDE
from tasks.omniglot.characters import Characters
from tasks.omniglot.source import VERSION, decode

CACHE_FORMAT = 1  # raise it when `Characters` or the resizing changes


def load(data_dir: str | None, cache_dir: str | None) -> Characters:
    """The data set from the cache, decoded into it first where that has not been done yet.

    Raises ConfigError where the data set is out of reach.
    """
    return cache.load(
        cache_path(cache_dir),
        "Omniglot",
        read=lambda path: Characters(**read_sealed(path)),
        build=lambda: decode(data_dir),
        write=lambda path, characters: write_sealed(path, characters._asdict()),
    )


def cache_path(cache_dir: str | None) -> Path:
    """Where the decoded drawings are kept; the name tells the data set and the format."""
    return cache.folder(cache_dir) / f"omniglot-{VERSION}-{SIDE}x{SIDE}-v{CACHE_FORMAT}.cache"
