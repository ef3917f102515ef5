"""Trainings that began before anything validated them go on as they began.

Then the test split was evaluated after each epoch, and the last epoch was the result. The settings of such a run are
`data.validation: test`, whatever the default or the recipe says now.
"""

from pathlib import Path

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.config.data import BEFORE
from dartsminus_tf.foundation.config.settings import layered, lookup
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunKind, stored_settings

KEY = "data.validation"


def _as_now(stored: dict) -> dict:
    return stored if lookup(stored, KEY) is not None else layered(stored, {"data": {"validation": BEFORE}})


KIND = RunKind(as_now=_as_now)


def as_begun(config: TrainConfig, model_dir: str | Path) -> TrainConfig:
    """`config`, or, where the run in `model_dir` began before there was `data.validation`, with what it had then.

    Raises:
        UsageError: where a new run asks for that, or the settings of the run are damaged.
    """
    stored = stored_settings(Path(model_dir))
    is_older = stored is not None and lookup(_as_now(stored), KEY) == BEFORE
    if is_older and config.data.validation in ("auto", "none"):
        return config.model_copy(update={"data": config.data.model_copy(update={"validation": BEFORE})})
    if config.data.validation == BEFORE and not is_older:
        raise UsageError(
            f"{KEY}={BEFORE} is how runs go on that are older than the key: a new one takes auto, a fraction or none. "
            f"Received: {model_dir}"
        )
    return config
