"""Single unseen tasks and what the adapted network said, from `predictions.npz` beside a record."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results.records import DamagedRecord

FILE = "predictions.npz"
Episode = dict[str, np.ndarray]
"""support_x [n, ...], support_y [n, ...], query_x [m, ...], query_y [m, ...], steps [s] (numbers of
adaptation steps, ascending), outputs [s, m, ...]: class probabilities, or regression values."""

NAMES = {"support_x", "support_y", "query_x", "query_y", "steps", "outputs"}


def read_episodes(run: str) -> list[Episode]:
    """The episodes that the run in directory `run` has left; none where it was not asked for any.

    Raises:
        DamagedRecord: the file is there but cannot be used.
    """
    file = Path(run, FILE)
    episodes: dict[str, Episode] = {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            for key in arrays.files:
                number, _, name = key.partition("/")
                episodes.setdefault(number, {})[name] = arrays[key]
    except FileNotFoundError:
        return []
    except Exception as error:  # there is no end to what damaged bytes can raise
        raise DamagedRecord(f"{file}: damaged ({type(error).__name__})") from error
    if any(set(episode) != NAMES for episode in episodes.values()):
        raise DamagedRecord(f"{file}: an episode has other arrays than {', '.join(sorted(NAMES))}")
    return list(episodes.values())


def is_curve(episode: Episode) -> bool:
    """Whether it is one-dimensional regression, y over x."""
    return episode["query_x"].shape == episode["query_y"].shape == (len(episode["query_x"]), 1)


def is_pictures(episode: Episode) -> bool:
    """Whether it classifies images [n, height, width, 1 or 3]."""
    return episode["query_x"].ndim == 4 and episode["query_x"].shape[-1] in (1, 3)


def curve_points(episode: Episode) -> pd.DataFrame:
    """One-dimensional regression as `figures.sine_fit` wants it."""
    support, grid = episode["support_x"][:, 0], episode["query_x"][:, 0]
    parts = [
        pd.DataFrame({"kind": "true", "x": grid, "y": episode["query_y"][:, 0]}),
        pd.DataFrame({"kind": "sample", "x": support, "y": episode["support_y"][:, 0]}),
    ]
    parts += [
        pd.DataFrame({"kind": "prediction", "x": grid, "y": outputs[:, 0], "steps": steps})
        for steps, outputs in zip(episode["steps"], episode["outputs"], strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def pictures(episode: Episode) -> pd.DataFrame:
    """Classified images after the last step, as `figures.episode_sheet` wants them."""
    probabilities = episode["outputs"][-1]
    rows: list[dict[str, Any]] = [
        {"kind": "support", "label": int(label), "image": np.squeeze(image)}
        for image, label in zip(episode["support_x"], episode["support_y"], strict=True)
    ]
    rows += [
        {
            "kind": "query",
            "label": int(label),
            "image": np.squeeze(image),
            "prediction": int(p.argmax()),
            "probability": float(p.max()),
        }
        for image, label, p in zip(
            episode["query_x"], episode["query_y"], probabilities, strict=True
        )
    ]
    return pd.DataFrame(rows)
