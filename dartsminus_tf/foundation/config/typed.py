"""Typed configs: YAML files and dotted overrides in, checked pydantic models out.

Unknown keys are refused, ranges and rules between fields are checked when a config is built.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from dartsminus_tf.foundation.config.settings import layered, read_settings
from dartsminus_tf.foundation.config.yaml_text import dump_yaml
from dartsminus_tf.foundation.errors import UsageError

Positive = Annotated[int, Field(gt=0, le=10**7)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class Strict(BaseModel):
    """Base of every config: unknown keys refused, values not changed after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_from_text(cls, value, info: ValidationInfo):
        """pydantic would read the text 1_0 as ten."""
        kinds = _alternatives(cls.model_fields[info.field_name].annotation)
        if isinstance(value, list | tuple):
            members = (_alternatives(member) for kind in kinds for member in typing.get_args(kind))
            kinds, values = set().union(*members), value
        else:
            values = [value]
        words = {word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)}
        texts = [entry for entry in values if isinstance(entry, str) and entry not in words]
        if kinds & {int, float} and str not in kinds and texts:
            raise ValueError("Input should be a number, or numbers")
        return value


Config = TypeVar("Config", bound=Strict)


def load_config(
    kind: type[Config], files: Sequence[str | Path] = (), overrides: Sequence[str] = (), base: Mapping | None = None
) -> Config:
    """Build a config from YAML files (later ones win) and `key.subkey=value` overrides (which win over files).

    Args:
        kind: of config.
        files, overrides: what is given.
        base: nested settings that these are laid over.

    Raises:
        UsageError: on a missing or malformed file, a bad override, an unknown key, a wrong type or value.
    """
    try:
        return kind.model_validate(layered(dict(base or {}), read_settings(files, overrides, ModelKeys(kind))))
    except ValidationError as error:
        raise UsageError(_one_line(error)) from None


class ModelKeys:
    """The keys of a config, for `overrides`: which there are, and which hold a text."""

    def __init__(self, kind: type[BaseModel]):
        self.kind = kind

    def knows(self, names: Sequence[str]) -> bool:
        """Whether there is such a key; below a mapping of any keys there are all."""
        return bool(_types_at(self.kind, names))

    def holds_text(self, names: Sequence[str]) -> bool:
        """Whether its value is a text, or a text or nothing."""
        return str in _types_at(self.kind, names)

    def renamed(self, settings: dict) -> dict:
        """`settings` with old names of keys replaced: two layers may call one key by different names."""
        return _renamed(self.kind, settings)


def _types_at(kind: type[BaseModel], names: Sequence[str]) -> set:
    """The types that the value under `names` may have; none where there is no such key."""
    found = {kind}
    for name in names:
        below = set()
        for model in found:
            if typing.get_origin(model) is dict:
                below |= _alternatives(typing.get_args(model)[1])
            elif _is_model(model):
                field = _field(model, name)
                below |= _alternatives(field.annotation) if field is not None else set()
        found = below
    return found


def _renamed(kind: type[BaseModel], settings: dict) -> dict:
    aliases, found = _aliases(kind), {}
    for name, value in settings.items():
        field = _field(kind, name)
        below = [model for model in _alternatives(field.annotation) if _is_model(model)] if field is not None else []
        found[aliases.get(name, name)] = _renamed(below[0], value) if below and isinstance(value, dict) else value
    return found


def _is_model(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _field(model: type[BaseModel], name: str):
    return model.model_fields.get(_aliases(model).get(name, name))


def _aliases(model: type[BaseModel]) -> dict[str, str]:
    """{old name: name} of the model's keys."""
    return {alias: key for key, field in model.model_fields.items() for alias in _names_of(field)}


def _names_of(field) -> list[str]:
    return list(getattr(field.validation_alias, "choices", []))


def _alternatives(annotation) -> set:
    """`annotation` without Annotated, and the members of a union."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_alternatives, typing.get_args(annotation)))
    return {annotation}


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
