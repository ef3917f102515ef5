"""What a folder of class folders holds, by names alone: splits, classes, their pictures, and what is passed over.

Names are compared in Unicode's form NFC: a folder that macOS wrote is the one that Linux wrote.
"""

import collections
import os
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sklearn.model_selection import train_test_split

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import shown
from dartsminus_tf.foundation.pictures.names import by_ending, ending, is_hidden, is_picture_name
from dartsminus_tf.foundation.pictures.reading import PictureError

_SPLITS = {
    "train": re.compile(r"(train|training|trn)(set|split|data|images)?(\d|\d{4})?"),
    "val": re.compile(r"(val|valid|validation|dev|devel|eval|evaluation)(set|split|data|images)?(\d|\d{4})?"),
    "test": re.compile(r"(test|testing|tst)(set|split|data|images)?(\d|\d{4})?"),
}
HELD_OUT, SPLIT_SEED = 0.2, 0

Files = list[tuple[Path, int]]  # with the number of the class


@dataclass
class Found:
    """What is there.

    Attributes:
        classes: names, sorted.
        train, test: the files of both splits that are called like pictures, in a fixed random order.
        validation: those of a `val` folder beside a `test` folder, where it is asked for.
        faults: what is called like a picture and is a folder.
        remarks: one line for each thing that is not read, or that a split lacks.
    """

    classes: list[str] = field(default_factory=list)
    train: Files = field(default_factory=list)
    test: Files = field(default_factory=list)
    validation: Files | None = None
    faults: list[PictureError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def splits(self) -> dict[str, Files]:
        """{name: files} of the splits that there are."""
        splits = {"train": self.train, "test": self.test, "validation": self.validation}
        return {name: files for name, files in splits.items() if files is not None}


def find(root: Path, validates: bool = False) -> Found:
    """The pictures under `root`, in folders of splits, or in class folders alone, of which a fifth is then the test.

    Args:
        root: the folder.
        validates: whether a `val` folder beside a `test` folder is read; otherwise it is passed over.

    Raises:
        UsageError: none of these layouts; two folders of one split or class; a class without pictures, or one that the
            training lacks.
    """
    found = Found()
    train_folder, others = _split_folders(root, validates, found)
    folders = _class_folders(train_folder, found)
    if len(folders) < 2:
        raise UsageError(f"An image folder needs at least two class folders. Received: {shown(train_folder)}")
    found.classes = list(folders)
    train = _files(folders, found)
    if not others:
        found.train, found.test = _hold_out(train, folders, root)
        return found
    files = {}
    for name, folder in others.items():
        alike = [other for other in (train_folder, *others.values()) if other is not folder and folder.samefile(other)]
        if alike:
            raise UsageError(f"Training, validation and test must be different folders. Received: {shown(folder)}")
        files[name] = _mixed(_other_files(folder, name, found))
    found.train, found.test, found.validation = _mixed(train), files["test"], files.get("validation")
    return found


def _other_files(folder: Path, name: str, found: Found) -> Files:
    """The files of the split `name` in its folder; its classes must be those of the training, or some of them."""
    folders = _class_folders(folder, found)
    _require_known(folders, name, found.classes)
    lacking = [known for known in found.classes if known not in folders]
    found.remarks += [f"class {shown(known)!r} is not in {shown(folder)}" for known in lacking]
    return _files(folders, found)


def _split_folders(root: Path, validates: bool, found: Found) -> tuple[Path, dict[str, Path]]:
    """The folder of the training, and those of test and validation; `root` alone where it holds the class folders.

    The test is "test", and "val" where that is not there, in any usual spelling: `Training`, `valid`, `Test Set`.
    """
    kinds: dict[str | None, list[Path]] = {}
    for folder in _folders(root):
        kinds.setdefault(split_of(folder.name), []).append(folder)
    others = kinds.pop(None, [])
    if not kinds:
        return root, {}
    for same in kinds.values():
        _require(len(same) == 1, "Two folders are called like the same split: leave one", same, root)
    test = kinds.get("test") or kinds.get("val")
    rule = (
        "Splits are a folder `train` with `test` or `val` beside it, and no class folder may be called like one "
        "(add the one that is missing, give that folder alone as data_dir, or rename the class)"
    )
    _require("train" in kinds and test is not None, rule, sum(kinds.values(), []), root)
    used = {"test": test[0]}
    for folder in kinds.get("val", []):
        if folder is not test[0] and validates:
            used["validation"] = folder
        elif folder is not test[0]:
            others.append(folder)
    found.remarks += [f"folder {shown(folder)} is not read: it is no split in use" for folder in others]
    return kinds["train"][0], used


def split_of(name: str) -> str | None:
    """ "train", "val" or "test", where a folder's name is a usual spelling of one."""
    plain = re.sub(r"[\s_.-]", "", unicodedata.normalize("NFKC", name).casefold())
    return next((kind for kind, spelling in _SPLITS.items() if spelling.fullmatch(plain)), None)


def _class_folders(path: Path, found: Found) -> dict[str, Path]:
    """The class folders in `path` by the names of the classes, sorted by those."""
    folders: dict[str, Path] = {}
    places: dict[Path, Path] = {}
    for folder in _folders(path):
        name, place = _class_name(folder), folder.resolve()
        rule = "A class folder must not be called like a split (rename it, such as `railway train` for `train`)"
        _require(split_of(name) is None, rule, [folder], path)
        same = folders.get(name) or places.get(place)
        _require(same is None, "Two folders are one and the same class: leave one", [same, folder], path)
        folders[name] = places[place] = folder
    loose = sum(is_picture_name(entry.name) for entry in path.iterdir() if not entry.is_dir())
    if loose:
        found.remarks.append(f"passed over {loose} pictures that are in no class folder of {shown(path)}")
    return dict(sorted(folders.items()))


def _require_known(folders: dict[str, Path], split: str, classes: list[str]) -> None:
    for name, folder in folders.items():
        if name not in classes:
            alike = [known for known in classes if known.casefold() == name.casefold()]
            hint = f" (which are spelt otherwise: {shown(alike[0])})" if alike else ""
            raise UsageError(f"A class of the {split} must be one of the training{hint}. Received: {shown(folder)}")


def _files(folders: dict[str, Path], found: Found) -> Files:
    """All files that are called like pictures in the folders of classes, at every depth, sorted within each class."""
    files: Files = []
    passed_over: collections.Counter = collections.Counter()
    for name, folder in folders.items():
        own: collections.Counter = collections.Counter()
        paths = sorted(_pictures(folder, own, found.faults))
        if not paths:
            others = f" (it has {by_ending(own)})" if own else ""
            raise UsageError(f"A class folder must have pictures{others}. Received: {shown(folder)}")
        files += [(path, found.classes.index(name)) for path in paths]
        passed_over += own
    if passed_over:
        found.remarks.append(f"passed over in {shown(next(iter(folders.values())).parent)}: {by_ending(passed_over)}")
    return files


def _pictures(folder: Path, passed_over: collections.Counter, faults: list[PictureError]) -> Iterator[Path]:
    for place, below, files in os.walk(folder, onerror=_fail):
        below[:] = sorted(name for name in below if not is_hidden(name))
        for path in [Path(place, name) for name in below]:
            if is_picture_name(path.name):
                faults.append(PictureError(path, "it is a folder"))
                below.remove(path.name)
            elif path.is_symlink():  # it is not walked into: it may lead round in a circle
                passed_over["linked folder"] += 1
        for path in [Path(place, name) for name in files if not is_hidden(name)]:
            if is_picture_name(path.name):
                yield path
            else:
                passed_over[ending(path.name)] += 1


def _hold_out(files: Files, folders: dict[str, Path], root: Path) -> tuple[Files, Files]:
    """A fixed fifth of each class is the test."""
    files = _mixed(files)
    labels = [label for _, label in files]
    for label, folder in enumerate(folders.values()):
        if labels.count(label) < 2:
            raise UsageError(f"Every class folder needs at least two images. Received: {shown(folder)}")
    share = max(HELD_OUT, len(folders) / len(files))
    return train_test_split(files, test_size=share, random_state=SPLIT_SEED, stratify=labels)


def _mixed(files: Files) -> Files:
    """In a fixed random order."""
    files = [*files]
    random.Random(SPLIT_SEED).shuffle(files)
    return files


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def _class_name(folder: Path) -> str:
    return unicodedata.normalize("NFC", os.fsencode(folder.name).decode("utf-8", "backslashreplace"))


def _fail(error: OSError) -> None:
    raise error


def _require(holds: bool, rule: str, folders: list[Path | None], root: Path) -> None:
    if not holds:  # escaped, since two forms of one name look alike
        names = ", ".join(ascii(folder.name) for folder in folders if folder is not None)
        raise UsageError(f"{rule}. Received: {names} in {shown(root)}")
