"""Ids, flags, numbers and names as annotation tools write them, read alike in every section of an instances JSON."""

import math
import re
import unicodedata

_LONGEST_NAME = 200
_LARGEST_ID = 2**53  # what TensorFlow, JSON and floats can all hold
_WHOLE = re.compile(r"[+-]?\d{1,400}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_YES, _NO = ("true", "t", "yes", "y", "on"), ("", "false", "f", "no", "n", "off", "none", "null", "nan")


def read_id(value: object) -> int | str | None:
    """An id by which entries find one another: 1, 1.0, "1", " 1 " and "001" are the number 1.

    Text that is no whole number stands for itself (without spaces around it, in Unicode's form NFC), and so does the
    text of a number that is no id of TensorFlow's: a fraction, or one above 2**53. None is returned for what cannot be
    an id: null, true, a list, NaN, empty text.
    """
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value.strip())
        if not _WHOLE.fullmatch(text):
            return text or None
        value = int(text.partition(".")[0])
    elif isinstance(value, float) and math.isfinite(value):
        if not value.is_integer():
            return repr(value)
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) <= _LARGEST_ID else str(value)


def read_flag(value: object) -> bool | None:
    """Yes or no; null, missing (None) and empty are no. None is returned for what is neither."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, float) and math.isnan(value):  # what pandas writes where nothing is
        return False
    if isinstance(value, str) and value.strip().lower() in (*_YES, *_NO):
        return value.strip().lower() in _YES
    number = read_number(value)
    return None if number is None else number != 0


def read_number(value: object) -> float | None:
    """A number within +-2**53, also written as text; None for anything else."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value := value.strip()) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _LARGEST_ID:
        return None
    return float(value)


def read_name(value: object) -> str | None:
    """The name of a category, of at most 200 characters: text, or a number's text; None for anything else."""
    if isinstance(value, int | float):
        number = read_id(value)
        value = None if number is None else str(number)
    if not isinstance(value, str):
        return None
    return value.strip()[:_LONGEST_NAME].encode("utf-8", "replace").decode() or None
