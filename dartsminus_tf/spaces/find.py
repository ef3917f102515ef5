"""Finds the genotype that a user means: a published name, a file, a search's run directory, or the text itself.

Published genotypes stand in a JSON file of their family, with the parameter counts of the paper's three settings. The
authors' release gives the three CIFAR-10 S3 genotypes of S2 once more; `cifar10_s3_*` are therefore S2's.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dartsminus_tf.foundation.config.paths import expanded
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT, SearchResult, stored_result
from dartsminus_tf.foundation.runs.status import StatusFile
from dartsminus_tf.spaces.families import FAMILIES, family_of
from dartsminus_tf.spaces.genotype import Genotype

LARGEST_FILE = 10**6  # bytes


class Found(NamedTuple):
    """A genotype and the space that it was searched in, where that is known."""

    genotype: Genotype
    space: str | None


def published() -> dict[str, dict]:
    """{name: {"genotype": {...}, "space": ..., setting: [parameters, parameters with the auxiliary head], ...}}"""
    files = [family.file(family.published) for family in FAMILIES.values() if family.published]
    return {name: entry for file in files for name, entry in _entries(file).items()}


@cache
def _entries(file: Path) -> dict[str, dict]:
    return json.loads(file.read_text(encoding="utf-8"))


def published_genotype(name: str) -> Genotype:
    """The published genotype called `name`, such as "cifar10_s0_best"."""
    known = published()
    if name not in known:
        raise UsageError(f"Unknown published genotype; known are {', '.join(known)}. Received: {name!r}")
    return Genotype.from_dict(known[name]["genotype"])


def find_genotype(text: str | dict) -> Found:
    """The genotype that `text` names or spells, and its space.

    Raises:
        UsageError: where it is none of the four, or malformed.
    """
    genotype, space = _find(text)
    return Found(genotype, space or only_space(genotype))


def only_space(genotype: Genotype) -> str | None:
    """The space of `genotype` where its family has no other; None where it may be of several."""
    spaces = family_of(genotype).spaces
    return spaces[0].name if len(spaces) == 1 else None


def _find(text: str | dict) -> Found:
    if isinstance(text, dict):
        return Found(Genotype.from_dict(text), None)
    stripped = text.strip()
    if stripped.startswith("{"):
        return Found(Genotype.from_json(stripped), None)
    spelled = Genotype.read(stripped)
    if spelled is not None:
        return Found(spelled, None)
    if stripped in published():
        return Found(published_genotype(stripped), published()[stripped].get("space"))
    return _read(stripped)


def _read(text: str) -> Found:
    """The genotype in a JSON file, or in a search's run directory."""
    folder = None
    try:
        path = Path(expanded(text))
        folder = path if path.is_dir() else None
        file = path / "genotype.json" if folder else path
        if file.exists() and not (file.is_file() and file.stat().st_size <= LARGEST_FILE):
            raise UsageError(
                f"A genotype's file is a regular one of at most {LARGEST_FILE} bytes. Received: {text[:120]!r}"
            )
        content = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise error if isinstance(error, UsageError) else _not_found(text, folder) from None
    try:
        genotype = Genotype.from_json(content)
    except UsageError as error:
        raise UsageError(f"{error} (in {file})") from None
    result = stored_result(folder, SearchResult) if folder else None
    if result is None:
        return Found(genotype, None)
    if result["genotype"] != json.loads(content):
        raise UsageError(
            f"The file holds another genotype than {RESULT} beside it: delete {RESULT} and give the command of the "
            f"search again, which writes both anew from the last state. Received: {file}"
        )
    return Found(genotype, result.get("space"))


def _not_found(text: str, folder: Path | None) -> UsageError:
    status = StatusFile(folder).read() if folder else None
    if status is not None:
        where = f"it goes on with: {status.command}. Received: {folder}"
        return UsageError(f"The search is not finished ({status.brief}); {where}")
    rule = "" if os.path.exists(text) or os.sep not in text else "no such file: "
    rule += "genotype must be a published name, a JSON file, a finished search's directory, or the genotype itself"
    return UsageError(f"{rule}; published are {', '.join(published())}. Received: {text[:120]!r}")
