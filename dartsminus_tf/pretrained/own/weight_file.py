"""The file of a finished training's weights: how it is written, and what it may hold. This needs no TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import h5py

from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.disk.files import replacing
from dartsminus_tf.foundation.errors import UsageError, brief
from dartsminus_tf.foundation.runs.results import RESULT

WEIGHTS = "model.weights.h5"
ADVICE = f"delete {RESULT} and give the command of the training again, which writes both anew from the last state"


def write_weights(path: Path, save: Callable[[Path], None]) -> str:
    """Have `save` write a file in Keras' format, and put it at `path`; returns its digest.

    Equal weights are equal files: the names of layers, which count what else the process has built, are left out.
    """
    with replacing(path) as temporary:
        save(temporary)
        _leave_names_out(temporary)
    return file_digest(path)


def _leave_names_out(path: Path) -> None:
    """Write the file again with all groups and arrays, and without the attributes of groups, which nothing reads."""
    items = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: items.append((name, _array(item))))
    with h5py.File(path, "w") as file:
        for name, array in sorted(items, key=lambda item: item[0]):
            if array is None:
                file.require_group(name)
            else:
                values, attributes = array
                file.create_dataset(name, data=values).attrs.update(attributes)


def _array(item: h5py.Group | h5py.Dataset) -> tuple | None:
    return (item[...], dict(item.attrs)) if isinstance(item, h5py.Dataset) else None


def require_plain(weights: Path) -> None:
    """Refuse what is no HDF5 file, or has links or data that lead out of what can be seen in it.

    Raises:
        UsageError: saying what.
    """
    size = weights.stat().st_size
    try:
        with h5py.File(weights) as file:  # the visits end at the first that returns something
            problem = file.visititems_links(_foreign_link) or file.visititems(lambda *item: _foreign_data(*item, size))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        problem = f"no whole HDF5 file: {brief(error)}"
    if problem:
        raise UsageError(f"The weights cannot be used ({problem}): {ADVICE}. Received: {weights}")


def _foreign_link(name: str, link: object) -> str | None:
    return None if isinstance(link, h5py.HardLink) else f"{name!r} is a {type(link).__name__}"


def _foreign_data(name: str, item: object, size: int) -> str | None:
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual or item.nbytes > size):
        return f"{name!r} does not lie in the file itself"
    return None
