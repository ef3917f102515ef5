"""The files of a folder, found by the names that annotation files give them."""

import collections
import difflib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from detection.coco.pictures import is_there

_MOST_COMPARED = 20_000  # files that a missing name is compared with


class PictureFolder:
    """A folder and what is found in it.

    A name is tried, in this order: as it stands; with `/` for `\\`; then as a guess in other spellings of those two:
    percent-decoded, without the folder's own name at its beginning (or, of an absolute path, everything up to it), as
    one name with `\\` in it. Each part of a guess may differ from the file's name in percent-encoding, in Unicode's
    form (NFC, NFD) and in the case of its ending. A guess holds where a single file fits it, which no other name means.
    """

    def __init__(self, path: str):
        self.path = Path(path)
        self._own = self.path.resolve().parts
        self._listings: dict[str, dict[str, list[str]]] = {}

    def find_all(self, names: Iterable[object]) -> dict[str, str | None]:
        """The file of each name, relative to the folder with `/`; None where there is none that is certain."""
        texts = list(dict.fromkeys(name for name in names if isinstance(name, str)))
        exact = {text: found for text in texts if (found := self._as_written(text)) is not None}
        guesses = {tidy(text): self._guess(text) for text in texts if text not in exact}
        meant = collections.Counter([*set(exact.values()), *filter(None, guesses.values())])
        certain = {name: found for name, found in guesses.items() if meant[found] == 1}
        return {text: exact.get(text) or certain.get(tidy(text)) for text in texts}

    def _as_written(self, name: str) -> str | None:
        return next((form for form in (str(PurePosixPath(name)), tidy(name)) if is_there(form, self.path)), None)

    def _guess(self, name: str) -> str | None:
        found = (self._match(parts) for parts in self._spellings(name))
        return next((place for place in found if place is not None and is_there(place, self.path)), None)

    def _spellings(self, name: str) -> Iterator[tuple[str, ...]]:
        for text in dict.fromkeys((name, tidy(name), unquote(name), tidy(unquote(name)))):
            path = PurePosixPath(text)
            if not path.is_absolute() and not PureWindowsPath(text).drive:
                yield path.parts
            yield from self._below_own_name(path)
            yield ("\\".join(path.parts),)

    def _below_own_name(self, path: PurePosixPath) -> Iterator[tuple[str, ...]]:
        """The parts of `path` after this folder's own."""
        parts = path.parts
        for count in range(1, len(parts)):
            if parts[:count] == self._own[-count:]:
                yield parts[count:]
        if (path.is_absolute() or PureWindowsPath(path).drive) and self._own[-1] in parts[:-1]:
            yield parts[len(parts) - parts[::-1].index(self._own[-1], 1) :]

    def _match(self, parts: tuple[str, ...]) -> str | None:
        """The path whose parts are these, each as it stands or else the only one of its key."""
        place = ""
        for part in parts:
            alike = self._listing(place).get(_key(part), [])
            part = part if part in alike else alike[0] if len(alike) == 1 else None
            if part is None:  # also of "..", which no listing has
                return None
            place = f"{place}/{part}" if place else part
        return place or None

    def _listing(self, place: str) -> dict[str, list[str]]:
        """The names in a folder below this one by their key."""
        if place not in self._listings:
            self._listings[place] = {}
            try:
                for name in os.listdir(self.path / place):
                    self._listings[place].setdefault(_key(name), []).append(name)
            except (OSError, ValueError):  # no folder, or none that may be read
                pass
        return self._listings[place]

    def nearest_to_missing(self, places: dict[str, str | None]) -> str | None:
        """The first name that `find_all` did not find, and the file that comes nearest; None where it found all."""
        missing = next((name for name, place in places.items() if place is None), None)
        if missing is None:
            return None
        nearest = self._nearest(missing)
        return f"looked for {missing!r}, " + ("there is no file" if nearest is None else f"the nearest is {nearest!r}")

    def _nearest(self, name: str) -> str | None:
        wanted, files = tidy(name), []
        for place, folders, found in os.walk(self.path):
            folders.sort()
            below = Path(place).relative_to(self.path)
            files += [(below / file).as_posix() for file in sorted(found) if not file.startswith(".")]
            if len(files) > _MOST_COMPARED:
                break
        files = files[:_MOST_COMPARED]
        same = [file for file in files if file.rpartition("/")[2] == wanted.rpartition("/")[2]]
        return next(iter(same or difflib.get_close_matches(wanted, files, 1, 0.0)), None)


def tidy(name: str) -> str:
    """A name with `/` alone between its parts, and no part "."."""
    return str(PurePosixPath(name.replace("\\", "/")))


def _key(name: str) -> str:
    """What names of one file have in common."""
    stem, ending = re.fullmatch(r"(.*?)(\.[^.]*)?", unicodedata.normalize("NFC", unquote(name)), re.DOTALL).groups()
    return stem + (ending or "").lower()
