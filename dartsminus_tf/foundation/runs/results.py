"""What a finished run wrote, `result.json`: read through a model of its kind, and not believed where it does not fit.

Keys that a model does not name are kept: later versions add some.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dartsminus_tf.foundation.disk import digests
from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.errors import UsageError

RESULT = "result.json"
ADVICE = "delete it and give the command that made the run again, which writes it anew from the last state"
LARGEST = 64 * 2**20  # bytes of a JSON file of a run

Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=0, le=10**15)]
Side = Annotated[int, Field(ge=1, le=10**5)]


class Result(BaseModel):
    """Any result: a mapping of what JSON holds, without NaN and infinity."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class SearchResult(Result):
    """Of a search."""

    kind: Literal["search"]
    genotype: dict[str, Any]
    space: str | None = None
    validation_accuracy: Share | None
    train_accuracy: Share | None = None
    epochs: Whole
    genotype_epoch: Whole | None = None
    true_accuracies: dict[str, Annotated[float, Field(ge=0, le=100)]] | None = None
    seconds: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_of_its_epochs(self):
        if self.genotype_epoch is not None and self.genotype_epoch >= self.epochs:
            raise ValueError(f"genotype_epoch must be below epochs, {self.epochs}")
        return self


class Preprocessing(Result):
    """Of images that are divided by 255: subtract `mean`, divide by `std`."""

    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)]


class TrainResult(Result):
    """Of the training of a derived network."""

    kind: Literal["train"]
    genotype: dict[str, Any]
    network: dict[str, Any]
    space: str | None = None
    image_size: Side
    data: str
    class_names: list[str]
    preprocessing: Preprocessing
    test_accuracy: Share
    test_top5_accuracy: Share
    test_loss: float
    epoch: Whole | None = None
    stopped_epoch: Whole | None = None
    validation_accuracy: Share | None = None
    parameters: Whole
    multiply_adds: Whole
    seconds: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_network(self):
        if self.network.get("genotype") != self.genotype:
            raise ValueError("network.genotype must be genotype")
        if self.network.get("num_classes") != len(self.class_names):
            raise ValueError(f"class_names must be the network's {self.network.get('num_classes')} classes")
        return self


class DetectResult(Result):
    """Of the training or the evaluation of a detector."""

    ap: Share | None  # None: there were no such boxes
    ap50: Share | None


def stored_result(path: Path, kind: type[Result] = Result) -> dict | None:
    """What the finished run in the directory `path` wrote, as it stands in the file; None before.

    Raises:
        UsageError: where it is no result of that kind, or not what was written.
    """
    file = path / RESULT
    if not file.exists():
        return None
    result = stored_json(file, ADVICE)
    try:
        kind.model_validate(result)
    except ValidationError as error:
        about = first_problem(error)
        raise UsageError(f"The file is no result of this kind of run ({about}): {ADVICE}. Received: {file}") from None
    digests.require_seal(result, file, ADVICE)
    return result


def first_problem(error: ValidationError) -> str:
    """The first thing that keeps a file from fitting its model, and where in it."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return (f"{where}: " if where else "") + problem["msg"].removeprefix("Value error, ")


def finished_result(path: Path, kind: type[Result] = Result) -> dict:
    """`stored_result` of a run that must be finished.

    Raises:
        UsageError: where it is not.
    """
    result = stored_result(path, kind)
    if result is None:
        raise UsageError(f"The run is not finished: it has no {RESULT}. Received: {path}")
    return result


def write_result(path: Path, result: Mapping, files: Mapping[str, str] | None = None) -> dict:
    """Write the result of the run in the directory `path`, with the digests of `files` and its own; returns all of it.

    Args:
        path: the run directory.
        result: what was measured.
        files: {name: digest} of files of the run that belong to it.
    """
    result = digests.sealed(result, RESULT, files)
    write_json(path / RESULT, result)
    return result


def stored_json(path: Path, advice: str = "delete it") -> dict:
    """The mapping that a JSON file of a run holds.

    Args:
        path: the file.
        advice: what to do where it is damaged.

    Raises:
        UsageError: where it cannot be read, or holds anything else.
    """
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST):
            raise ValueError(f"a regular file of at most {LARGEST} bytes is meant")
        tree = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"A file of the run is damaged ({error}): {advice}. Received: {path}") from None
    if not isinstance(tree, dict):
        raise UsageError(f"A file of the run is damaged (it holds no mapping): {advice}. Received: {path}")
    return tree


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number
