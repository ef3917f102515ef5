"""`stats_<split>.json`, the manifest of a prepared split: what it holds, what it was made from, every file's digest."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator

from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.foundation.errors import UsageError
from detection.data.shards import shard_name

Count = Annotated[int, Field(ge=0)]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_PREFIX = "stats_"


class FileDigest(Strict):
    """Size in bytes and SHA-256 of a file."""

    bytes: Count
    sha256: Hex


class Source(Strict):
    """What a split was made from; where that lay is no part of it.

    Args:
        annotations_sha256: of the annotation file.
        num_shards: at least 1.
        pictures_sha256: of the names and sizes of the pictures, see `inventory.fingerprint`; None in older manifests.
        image_dir: only in older manifests.
    """

    annotations_sha256: Hex
    num_shards: Annotated[int, Field(ge=1)]
    pictures_sha256: Hex | None = None
    image_dir: str | None = None


class Stats(Strict):
    """The manifest.

    Args:
        num_classes: what task.model.num_classes must be at least: label 0 is background.
        category_names: by id.
        repairs: how often each was made.
        left_out: images of the annotations that are not in the records.
        notes: what else a person should know of the preparation.
        files: digests by name.
    """

    images: Count
    images_without_boxes: Count
    boxes: Count
    most_boxes_in_an_image: Count
    crowd_boxes: Count
    categories: Count
    category_names: dict[Count, str] = {}
    num_classes: Annotated[int, Field(ge=2)]
    repairs: dict[str, Count]
    left_out: list[str] = []
    notes: list[str] = []
    source: Source
    files: dict[str, FileDigest]

    @field_validator("files")
    @classmethod
    def _lie_beside_it(cls, files: dict) -> dict:
        outside = [name for name in files if Path(name).name != name]
        if outside:
            raise ValueError(f"the file {outside[0]!r} is not in the folder")
        return files

    @model_validator(mode="after")
    def _counts_agree(self) -> "Stats":
        if self.num_classes <= max(self.category_names, default=0):
            raise ValueError(f"num_classes {self.num_classes} is not above the largest category")
        if self.images_without_boxes > self.images or self.crowd_boxes > self.boxes:
            raise ValueError("a part is larger than the whole")
        return self


def stats_path(folder: Path, split: str) -> Path:
    """Where the manifest of a split is."""
    return folder / f"{_PREFIX}{split}.json"


def read_stats(path: Path) -> Stats:
    """The manifest in a file.

    Raises:
        UsageError: it is damaged, or does not name all shards.
    """
    try:
        stats = Stats.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{where}: {first['msg']}" if where else first["msg"]) from None
    split, number = path.stem.removeprefix(_PREFIX), stats.source.num_shards
    missing = [name for i in range(number) if (name := shard_name(split, i, number)) not in stats.files]
    if missing:
        raise _damaged(path, f"it does not name the shard {missing[0]!r}")
    return stats


def _damaged(path: Path, reason: str) -> UsageError:
    return UsageError(f"a manifest is damaged ({reason}); prepare_coco --overwrite. Received: {str(path)!r}")
