"""The backbone contract on disk: a SavedModel and a `manifest.json` that says what it returns."""

import dataclasses
import json
from pathlib import Path

from dartsminus_tf.foundation.disk import digests
from dartsminus_tf.foundation.errors import UsageError

FORMAT = "dartsminus_tf.backbone"
FORMAT_VERSION = 1
_AGAIN = "export it again with tools/export.py"
_LEVELS = tuple(map(str, range(13)))


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The part of `manifest.json` that detection relies on.

    Attributes:
      path: the SavedModel's folder.
      channels: feature channels by pyramid level; level l has stride 2**l.
      mean, std: three floats each; the backbone expects `(image / 255 - mean) / std`.
      raw: the whole manifest, for the record.
    """

    path: Path
    channels: dict[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    raw: dict

    @property
    def levels(self) -> list[int]:
        """Pyramid levels in rising order."""
        return sorted(self.channels)


def read_manifest(saved_model: str) -> Manifest:
    """Reads and checks the manifest of an exported backbone; needs no TensorFlow.

    Args:
      saved_model: folder that holds `saved_model.pb` and `manifest.json`.

    Raises:
      UsageError: the folder, the SavedModel or the manifest is missing or breaks the contract, or the files are not
        those that the manifest was written with.
    """
    if not saved_model:
        raise UsageError("task.model.backbone.dartsminus.saved_model must name an exported backbone. Received: ''")
    folder = Path(saved_model)
    if not (folder / "saved_model.pb").is_file():
        missing = "" if folder.exists() else "no such folder: "
        rule = f"{missing}saved_model must be a folder with saved_model.pb (tools/export.py)"
        raise UsageError(f"{rule}. Received: {saved_model!r}")
    path = folder / "manifest.json"
    if not path.is_file():
        raise UsageError(f"the backbone has no manifest.json; export it again. Received: {saved_model!r}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"manifest.json must be JSON ({error}). Received: {str(path)!r}") from None
    found = _checked(raw, folder)
    digests.require_seal(raw, path, f"{_AGAIN}; an edited one is read as it stands without its key {digests.KEY!r}")
    digests.require_files(raw, path, [name for name in digests.digests_of(raw) if _is_read(name)], _AGAIN)
    return found


def _is_read(name: str) -> bool:
    """Whether loading the SavedModel reads this file of the export."""
    return name in ("saved_model.pb", "fingerprint.pb") or name.startswith(("variables/", "assets/"))


def _checked(raw: object, folder: Path) -> Manifest:
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        received = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
        raise UsageError(f"manifest.json: 'format' must be {FORMAT!r}. Received: {received!r}")
    if raw.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"manifest.json: 'format_version' must be {FORMAT_VERSION}. Received: {raw.get('format_version')!r}"
        )
    preprocessing = raw.get("preprocessing")
    if not isinstance(preprocessing, dict):
        raise UsageError(f"manifest.json: 'preprocessing' must be a mapping. Received: {preprocessing!r}")
    if preprocessing.get("channels", 3) != 3:
        raise UsageError(
            f"manifest.json: preprocessing.channels must be 3. Received: {preprocessing.get('channels')!r}"
        )
    std = _three_floats(preprocessing, "std")
    if min(std) <= 0:
        raise UsageError(f"manifest.json: preprocessing.std must be above 0. Received: {list(std)!r}")
    return Manifest(folder, _level_channels(raw.get("levels")), _three_floats(preprocessing, "mean"), std, raw)


def _three_floats(preprocessing: dict, key: str) -> tuple[float, float, float]:
    values = preprocessing.get(key)
    numbers = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e6 for v in values
    )
    if not numbers or len(values) != 3:
        raise UsageError(f"manifest.json: preprocessing.{key} must be three numbers. Received: {values!r}")
    return tuple(float(v) for v in values)


def _level_channels(levels: object) -> dict[int, int]:
    if not isinstance(levels, dict) or not levels:
        raise UsageError(f"manifest.json: 'levels' must map levels to channels. Received: {levels!r}")
    channels = {}
    for level, entry in levels.items():
        count = entry.get("channels") if isinstance(entry, dict) else None
        if level not in _LEVELS or not isinstance(count, int) or not 1 <= count <= 10**6:
            raise UsageError(f"manifest.json: level {level!r} needs integer channels. Received: {entry!r}")
        if entry.get("stride") != 2 ** int(level):
            raise UsageError(
                f"manifest.json: level {level} must have stride {2 ** int(level)}. Received: {entry.get('stride')!r}"
            )
        channels[int(level)] = count
    return channels


def check_levels(manifest: Manifest, min_level: int, max_level: int) -> None:
    """Checks that the feature pyramid can be built: every level from `min_level` up to the backbone's last
    one.

    Levels above the backbone's last are made by the pyramid itself (stride-2 convolutions).

    Raises:
      UsageError: a level is missing.
    """
    if not 1 <= min_level <= max_level:
        raise UsageError(f"task.model.min_level must be in [1, max_level = {max_level}]. Received: {min_level}")
    top = min(max_level, manifest.levels[-1])
    missing = [level for level in range(min_level, max(top, min_level) + 1) if level not in manifest.channels]
    if missing:
        raise UsageError(
            f"the pyramid from level {min_level} needs backbone levels {missing} too. Received: {manifest.levels}"
        )
