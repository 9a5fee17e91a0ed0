"""Images of your own: a folder of classes, each a folder of image files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.checks import ConfigError, one_line, require
from tasks.pictures import Pictures, PictureTask, check_left, decode_files, shortened, through_cache

KINDS = (".png", ".jpg", ".jpeg")
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Folder(PictureTask):
    """Settings of conf/task/folder.yaml."""

    directory: str
    skip_broken: bool

    @property
    def root(self) -> Path:
        return Path(self.directory).expanduser()

    @cached_property
    def found(self) -> dict[str, dict[str, list[Path]]]:
        """The files of each class of each split; of the split "" where there are no split folders.

        Raises ConfigError where a folder cannot be read or holds nothing that could be meant.
        """
        try:
            return self.search()
        except OSError as error:
            rule = f"a folder that can be read ({one_line(error)})"
            raise ConfigError(f"task.directory={self.directory}: must be {rule}") from error

    def search(self) -> dict[str, dict[str, list[Path]]]:
        """`found`. Raises OSError too."""
        rule = "a folder of classes, or of train, test and perhaps val with classes in each"
        of_images = self.root.is_dir() and self.root.resolve() != Path(self.root.resolve().anchor)
        require(of_images, "task.directory", self.directory, rule)
        found: dict[str, dict[str, list[Path]]] = {}
        read = [name for name in SPLITS if (self.root / name).is_dir()]
        if "train" in read or "test" in read:
            self.check_beside(read)
            for folder, split in SPLITS.items():
                classes = classes_of(self.root / folder)
                rule = "a folder with either val/ or validation/"
                fits = not (classes and found.get(split))
                require(fits, "task.directory", self.directory, rule)
                found[split] = found.get(split, {}) | classes
            for split in ("train", "test"):
                rule = f"a folder with class folders in {split}/ too, beside those it has"
                require(bool(found[split]), "task.directory", self.directory, rule)
        else:
            found[""] = classes_of(self.root)
            rule = f"a folder that holds at least 4 class folders, not {len(found[''])}"
            require(len(found[""]) >= 4, "task.directory", self.directory, rule)
        self.check_classes(found)
        return {split: classes for split, classes in found.items() if classes}

    def check_beside(self, read: list[str]) -> None:
        """Beside folders that are `read` as splits there may be no others with images."""
        found = classes_of(self.root).items()
        beside = [name for name, files in found if files and name not in SPLITS]
        rule = (
            f"a folder of classes or of splits: {' and '.join(read)} would be read as splits, but "
            f"beside them are {shortened(beside)[1]}; a class cannot be called {', '.join(SPLITS)}"
        )
        require(not beside, "task.directory", self.directory, rule)

    def check_classes(self, found: dict[str, dict[str, list[Path]]]) -> None:
        """No class may be empty, spread over folders of its own, or in two splits."""
        kinds = ", ".join(KINDS)
        of: dict[str, str] = {}
        for split, name, files in ((s, n, files) for s in found for n, files in found[s].items()):
            rule = f"without empty classes: {name} has no {kinds}; add images or remove the folder"
            require(bool(files), "task.directory", self.directory, rule)
            homes = sorted({str(file.parent.relative_to(self.root)) for file in files})
            rule = f"with the images of a class in one folder, but those of {name} are in "
            require(
                len(homes) == 1, "task.directory", self.directory, rule + " and ".join(homes[:2])
            )
            if name in of:
                raise ConfigError(
                    f"task.directory={self.directory}: must have each class in one split, but "
                    f"{name} is in {of[name]} and in {split}"
                )
            of[name] = split

    @property
    def files(self) -> dict[str, list[Path]]:
        """The files of each class."""
        return {name: files for classes in self.found.values() for name, files in classes.items()}

    def counted(self) -> dict[str, int]:
        return {name: len(files) for name, files in self.files.items()}

    def given(self) -> dict[str, list[str]] | None:
        return None if "" in self.found else {s: [*names] for s, names in self.found.items()}

    def pictures(self) -> Pictures:
        listing = [
            f"{path.relative_to(self.root)} {status.st_size} {status.st_mtime_ns}"
            for files in self.files.values()
            for path in files
            for status in (path.stat(),)
        ]
        title = f"the {len(listing):,} images of {self.root}"
        path = self.cache_path("folder", "\n".join([*listing, f"skip {self.skip_broken}"]))
        built = through_cache(
            path,
            title,
            lambda: decode_files(
                list(self.files.values()), self.input_shape, self.invert, self.skip_broken
            ),
        )
        check_left(built, list(self.files))
        return built


def classes_of(folder: Path) -> dict[str, list[Path]]:
    """The image files in or below each folder in `folder`, by name; hidden ones are passed over."""
    if not folder.is_dir():
        return {}
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    return {
        path.name: sorted(file for file in files_below(path) if is_image(file, path))
        for path in inside
        if not path.name.startswith(".")
    }


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those inside it. Raises OSError where one cannot be read."""

    def stop(error: OSError) -> None:
        raise error

    for inside, _, names in os.walk(folder, onerror=stop):
        yield from (Path(inside, name) for name in names)


def is_image(path: Path, folder: Path) -> bool:
    """Whether a file below `folder` is named like an image, neither it nor its folder hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in KINDS and not hidden and path.is_file()
