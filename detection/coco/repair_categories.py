"""Categories whose ids are unique numbers from 1 and whose names differ."""

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.tally import Tally
from detection.coco.values import read_id, read_name

_LARGEST = 10_000  # the largest id sizes the model


def repair_categories(entries: list[dict], tally: Tally) -> tuple[list[dict], dict[int | str, int]]:
    """The categories, and their number by the id that `read_id` reads.

    They are renumbered from 1 where an id is text, below 1 (label 0 is RetinaNet's background, such a class would never
    be detected) or above 10,000. A category without a name is called by its id; one whose name another has bears its id
    behind it.

    Raises:
      UsageError: no category has an id, or two of different names have the same.
    """
    kept: dict[int | str, dict] = {}
    for entry in entries:
        key = read_id(entry.get("id"))
        if key is None:
            tally["category_without_id"] += 1
        elif key in kept:
            _require_same(kept[key], entry)
            tally["category_duplicate"] += 1
        else:
            kept[key] = entry
    if not kept:
        raise UsageError("--annotations: no category has an id. Received: " + repr(entries[0]))
    numbers = {key: key for key in kept}
    if any(isinstance(key, str) or not 1 <= key <= _LARGEST for key in kept):
        tally["category_renumbered"] = len(kept)
        numbers = {key: number for number, key in enumerate(sorted(kept, key=_order), start=1)}
    names = _names(kept, tally)
    categories = [
        {"id": numbers[key], "name": names[key]} | ({} if numbers[key] == key else {"original_id": key}) for key in kept
    ]
    return categories, numbers


def _order(key: int | str) -> tuple:
    return isinstance(key, str), key


def _require_same(first: dict, other: dict) -> None:
    """Two categories of one id are one category; otherwise nobody knows whose the boxes are."""
    names = [read_name(entry.get("name")) for entry in (first, other)]
    if names[0] != names[1]:
        raise UsageError(
            f"--annotations: each category must have its own id (1, 1.0 and '1' are the same). Received: "
            f"{first.get('id')!r} for {names[0]!r} and {other.get('id')!r} for {names[1]!r}"
        )


def _names(kept: dict[int | str, dict], tally: Tally) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for key, entry in kept.items():
        name = read_name(entry.get("name"))
        if name is None:
            tally.note("category_without_name", "id", entry.get("id"))
            name = str(key)
        if name in names.values():
            tally.note("category_name_repeated", "name", name)
            name = f"{name} ({key})"
        names[key] = name
    return names
