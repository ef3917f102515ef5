"""Finds the genotype that a user means: a published name, a file, a search's run directory, or the text itself."""

from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces import Genotype
from dartsminus_tf.zoo import published, published_genotype


def find_genotype(text: str | dict) -> Genotype:
    """The genotype that `text` names or spells.

    Raises:
        UsageError: where it is none of the four, or malformed.
    """
    if isinstance(text, dict):
        return Genotype.from_dict(text)
    stripped = text.strip()
    if stripped.startswith("{"):
        return Genotype.from_json(stripped)
    if stripped.startswith("Genotype(") or "|" in stripped:
        return Genotype.from_string(stripped)
    if stripped in published():
        return published_genotype(stripped)
    try:
        path = Path(stripped)
        path = path / "genotype.json" if path.is_dir() else path
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise UsageError(
            "genotype must be a published name, a JSON file, a finished search's directory, or the genotype itself; "
            f"published are {', '.join(published())}. Received: {stripped[:120]!r}"
        ) from None
    return Genotype.from_json(content)
