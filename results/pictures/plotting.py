"""Matplotlib as this package wants it: no window, and no settings but our own.

Importing it fails where the environment names a backend that is not there (every notebook exports
one), although drawing into a file needs none. So the name is out of the way for the import, and the
backend is the user's again after it, where he can have it.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from cycler import cycler

from results.pictures import palette

backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as mpl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.markers import MarkerStyle
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text
    from matplotlib.textpath import TextToPath
finally:
    if backend is not None:
        os.environ["MPLBACKEND"] = backend
if backend is not None:
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = backend

__all__ = [
    "Artist",
    "Axes",
    "Figure",
    "FontProperties",
    "MarkerStyle",
    "Rectangle",
    "Text",
    "TextToPath",
    "mpl",
    "style",
]

STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.prop_cycle": cycler(color=palette.COLORS[::-1]),
    "font.size": 10,
    "legend.frameon": False,
    "text.parse_math": False,  # a '$' in a configuration is a '$'
    "svg.hashsalt": "results",
    "savefig.bbox": "tight",
    "savefig.dpi": 160,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of all figures, whatever a matplotlibrc says. Draw and save inside it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield
