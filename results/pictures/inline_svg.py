"""A figure as SVG that stands in a page: it follows the page's colours and says what it shows.

The page's policy forbids style attributes, so each becomes the presentation attributes that it
holds. Whose numbers an artist shows (`marks`) is the `data-method` of its group; what a point is
stands in the point's title, which a browser shows also without a script.
"""

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from results.pictures.marks import MARKS, Mark
from results.pictures.plotting import Artist, Figure, MarkerStyle, Text, mpl

SVG = "http://www.w3.org/2000/svg"
POINTS_TO_PIXELS = 96 / 72
LEFT_TO_THE_PAGE = ("font-family",)
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML holds; the name of a method may."""
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def inline_svg(figure: Figure, caption: str) -> tuple[str, int]:
    """The figure as an <svg> element, described by its caption; and how many pixels wide it is."""
    shown = {f"mark{n}": pair for n, pair in enumerate(marked(figure))}
    for name, (artist, _) in shown.items():
        artist.set_gid(name)
    root = drawn(figure)
    named = {element.get("id"): element for element in root.iter()}
    for name, (artist, mark) in shown.items():
        artist.set_gid(None)
        if (group := named.get(name)) is not None:  # None: nothing of it lies in the figure
            annotate(group, mark)
    plain(root)
    root.set("role", "img")
    root.set("aria-label", caption)
    return ElementTree.tostring(root, encoding="unicode"), int(root.attrib["width"])


def marker_path(marker: str) -> str:
    """A marker as the path of an SVG image from -0.6 to 0.6; a short line for a method without."""
    if not marker:
        return "M-.6-.1h1.2v.2H-.6z"
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform())
    parts = [np.asarray(part, float) for part in outline.to_polygons()]
    corners = [[f"{x:.2f} {-y:.2f}" for x, y in part] for part in parts]
    return "".join(f"M{'L'.join(part)}z" for part in corners)


def drawn(figure: Figure) -> Element:
    """The figure as Matplotlib writes it, text as text, without metadata and style sheet."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="none")
    root = ElementTree.fromstring(NO_XML.sub("", buffer.getvalue().decode()))
    for unwanted in (f"{{{SVG}}}metadata", f"{{{SVG}}}defs"):
        for element in root.findall(unwanted):
            if unwanted.endswith("metadata") or element.find(f"{{{SVG}}}style") is not None:
                root.remove(element)
    return root


def marked(figure: Figure) -> Iterator[tuple[Artist, Mark]]:
    """The artists that show a method's numbers, and the words that name these in the figure."""
    artists = figure.findobj(lambda artist: artist in MARKS)
    names = {str(artist.get_label()): Mark(MARKS[artist].method) for artist in artists}
    yield from ((artist, MARKS[artist]) for artist in artists)
    for axes in figure.axes:
        words: list[tuple[Artist | None, Text]] = [
            (text, text) for text in axes.texts if text not in MARKS
        ]
        if legend := axes.get_legend():
            entries = zip(legend.legend_handles, legend.get_texts(), strict=True)
            words += [(part, text) for handle, text in entries for part in (handle, text)]
        for artist, text in words:
            if (mark := names.get(text.get_text())) and artist is not None:
                yield artist, mark


def annotate(group: Element, mark: Mark) -> None:
    """Say whose numbers a group shows, and of each of its points what it is."""
    group.set("data-method", mark.method)
    points = group.findall(f".//{{{SVG}}}use")
    holders = points if len(points) == len(mark.texts) else [group] * (len(mark.texts) == 1)
    for holder, text in zip(holders, mark.texts, strict=bool(holders)):
        title = Element(f"{{{SVG}}}title")
        title.text = text
        holder.insert(0, title)


def plain(root: Element) -> None:
    """No style attributes, no names that nothing refers to, sizes in pixels, short numbers."""
    used = set(re.findall(r"#([\w-]+)", ElementTree.tostring(root, encoding="unicode")))
    for element in root.iter():
        for rule in filter(None, element.attrib.pop("style", "").split(";")):
            name, _, value = rule.partition(":")
            if name.strip() not in LEFT_TO_THE_PAGE:
                element.set(name.strip(), value.strip())
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        for name in {"d", "x", "y", "transform"} & element.attrib.keys():
            element.set(name, LONG_NUMBER.sub(short, element.attrib[name]).replace("\n", ""))
        element.tail = None
    for name in ("width", "height"):
        points = float(root.attrib[name].removesuffix("pt"))
        root.set(name, f"{points * POINTS_TO_PIXELS:.0f}")


def short(number: re.Match[str]) -> str:
    """A number to a hundredth."""
    return f"{float(number[0]):.2f}"
