"""What a split is made from, and whether a finished one is made from the same."""

from pathlib import Path

from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.progress import ProgressLine
from detection.coco.names import PictureFolder
from detection.data import inventory, shards
from detection.data.stats import Source, Stats, read_stats, stats_path


class Origin:
    """A folder, and where in it the images of an annotation file are.

    Args:
      image_dir: the folder.
      annotations: the file.
      coco: what is in the file.
      num_shards: that the records are to have.
    """

    def __init__(self, image_dir: str, annotations: str, coco: dict, num_shards: int):
        self.folder = PictureFolder(image_dir)
        self.places = self.folder.find_all(entry.get("file_name") for entry in coco["images"])
        self.source = Source(
            annotations_sha256=file_digest(Path(annotations)),
            num_shards=num_shards,
            pictures_sha256=inventory.fingerprint(self.places, self.folder.path),
        )


def require_prepared(output_dir: str, split: str) -> None:
    """Refuses to verify what is not there.

    Raises:
      UsageError: the split has no manifest.
    """
    if not stats_path(Path(output_dir), split).is_file():
        raise UsageError(f"--verify needs a split {split!r} that is prepared. Received: {output_dir!r}")


def verified(folder: Path, split: str, origin: Origin, contents: bool, num_workers: int) -> dict:
    """The stats of a finished split, with `skipped` True and `verified`, what was compared.

    Args:
      folder, split: the records.
      origin: what they should be made from.
      contents: read every picture again, too.
      num_workers: pictures read in parallel.

    Raises:
      UsageError: a file is not as it was, or the split is made from other input.
    """
    stats = read_stats(stats_path(folder, split))
    stored = inventory.inventory_path(folder, split)
    difference = _difference(stats, origin, stored)
    if difference is not None:
        raise UsageError(
            f"--output_dir holds this split made from other input ({difference}); pass --overwrite or another folder. "
            f"Received: {str(folder)!r}"
        )
    shards.verify(folder, {name: entry.model_dump() for name, entry in stats.files.items()})
    compared = "pictures by name and size"
    if stats.source.pictures_sha256 is None:
        compared = "its pictures were not recorded when it was prepared; --overwrite records them"
        if contents:
            raise UsageError(f"--verify cannot compare the pictures: {compared}. Received: {str(folder)!r}")
    if contents:
        line = ProgressLine(f"{split}: comparing images", len(set(filter(None, origin.places.values()))))
        inventory.verify(stored, origin.folder.path, num_workers, line.over)
        compared = "pictures by their contents"
    return stats.model_dump() | {"skipped": True, "verified": f"records by checksum; {compared}"}


def _difference(stats: Stats, origin: Origin, stored: Path) -> str | None:
    """What tells the input of a finished split from `origin`; None if nothing does.

    Older manifests say nothing of the pictures.
    """
    before, now = stats.source, origin.source
    if before.annotations_sha256 != now.annotations_sha256:
        return "another annotation file"
    if before.num_shards != now.num_shards:
        return f"{before.num_shards} shards"
    if before.pictures_sha256 in (None, now.pictures_sha256):
        return None
    return f"other pictures, {inventory.first_change(stored, origin.places, origin.folder.path)}"
