"""An exported backbone on disk, checked without TensorFlow."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from dartsminus_tf.foundation.disk import digests
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import Preprocessing, Result, first_problem, stored_json

FORMAT, FORMAT_VERSION = "dartsminus_tf.backbone", 1
MANIFEST = "manifest.json"
VARIABLES = "variables/variables"
ADVICE = "export it again"


class ExportManifest(Result):
    """What of a manifest is needed to build the network again."""

    format: Literal["dartsminus_tf.backbone"]
    format_version: Literal[1]
    network: dict[str, Any]
    preprocessing: Preprocessing
    num_classes: Annotated[int, Field(ge=1)]
    class_names: list[str] | None = None

    @model_validator(mode="after")
    def _of_a_genotype(self):
        if not isinstance(self.network.get("genotype"), dict):
            raise ValueError("network.genotype must be there")
        return self


def read_export(folder: Path) -> dict:
    """The manifest of the exported backbone in `folder`, whose variables are those that it was written with.

    Raises:
        UsageError: where it is none, or was damaged or changed.
    """
    file = folder / MANIFEST
    manifest = stored_json(file, ADVICE)
    try:
        ExportManifest.model_validate(manifest)
    except ValidationError as error:
        raise UsageError(f"It is no manifest of a backbone ({first_problem(error)}). Received: {file}") from None
    digests.require_seal(manifest, file, ADVICE)
    names = [f"{VARIABLES}.index", f"{VARIABLES}.data-00000-of-00001"]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise UsageError(f"A file of the exported backbone is missing: {ADVICE}. Received: {folder / absent[0]}")
    digests.require_files(manifest, file, names, ADVICE)
    return manifest
