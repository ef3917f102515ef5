"""Typed configs: YAML files and dotted overrides in, checked pydantic models out.

Unknown keys are refused, ranges and rules between fields are checked when a config is built.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.settings import read_settings
from dartsminus_tf.foundation.yaml_text import dump_yaml

Positive = Annotated[int, Field(gt=0, le=10**7)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class Strict(BaseModel):
    """Base of every config: unknown keys refused, values not changed after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


Config = TypeVar("Config", bound=Strict)


def load_config(kind: type[Config], files: Sequence[str | Path] = (), overrides: Sequence[str] = ()) -> Config:
    """Build a config from YAML files (later ones win) and `key.subkey=value` overrides (which win over files).

    Raises:
        UsageError: on a missing or malformed file, a bad override, an unknown key, a wrong type or value.
    """
    try:
        return kind.model_validate(read_settings(files, overrides))
    except ValidationError as error:
        raise UsageError(_one_line(error)) from None


def dump_config(config: Strict) -> str:
    """The whole config, defaults included, as YAML."""
    return dump_yaml(config.model_dump(mode="json"))


def _one_line(error: ValidationError) -> str:
    """The first problem, and how many more there are."""
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"])
    received = repr(first.get("input"))
    received = received if len(received) <= 80 else received[:77] + "..."
    rule = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"Unknown config key '{where}'."
    else:
        message = f"Config key '{where}': {rule}" if where else f"Config: {rule}"
        message += "" if "Received: " in rule else f". Received: {received}"
    return message + (f" (and {len(others)} more problems)" if others else "")
