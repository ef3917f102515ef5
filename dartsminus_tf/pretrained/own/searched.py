"""A finished search on disk, whose supernet holds weights for every network of its space; without TensorFlow."""

from pathlib import Path
from typing import Any, NamedTuple

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import stored_settings
from dartsminus_tf.foundation.runs.results import SearchResult, stored_result
from dartsminus_tf.foundation.runs.states import CHECKPOINTS, saved_states
from dartsminus_tf.foundation.runs.status import StatusFile
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.family import Family


class FinishedSearch(NamedTuple):
    """What a finished search left.

    Attributes:
        path: the run directory.
        settings: the resolved config, as plain data.
        result: what `result.json` holds.
        state: the file of its newest state.
    """

    path: Path
    settings: dict[str, Any]
    result: dict[str, Any]
    state: Path

    @property
    def family(self) -> Family:
        """The family of its space."""
        return family_of(self.settings["space"])

    @property
    def section(self) -> dict[str, Any]:
        """Options of its supernet that the family alone has."""
        return self.settings.get(self.family.section) or {}

    @property
    def network(self) -> dict[str, Any]:
        """What `network_from_config` takes for the network that it found, without the number of classes."""
        return {"genotype": self.result["genotype"], "channels": self.settings["channels"], **self.section}

    @property
    def preprocessing(self) -> dict[str, list[float]]:
        """{"mean", "std"} of its images, pixels divided by 255; empty where a run of an older version does not say."""
        data = self.settings["data"]
        known = {"mean": data["mean"], "std": data["std"]} if data.get("mean") else {}
        return self.result.get("preprocessing", known)

    @property
    def digest(self) -> str:
        """Of the state, whose name holds that of its content."""
        return self.state.name.split(".")[1]


def is_search(path: Path) -> bool:
    """Whether it is the run directory of a search."""
    settings = stored_settings(path) or {}
    return "space" in settings and "genotype" not in settings


def finished_search(path: Path) -> FinishedSearch:
    """The finished search in a run directory.

    Raises:
        UsageError: where it is not finished, has no state left, or its supernet gives no weights to networks.
    """
    settings = stored_settings(path)
    family = family_of(settings["space"])
    if family.derive is None:
        raise UsageError(f"A search in space {settings['space']} leaves no weights for networks. Received: {path}")
    result = stored_result(path, SearchResult)
    if result is None:
        status = StatusFile(path).read()
        about = f" ({status.brief})" if status is not None else ""
        raise UsageError(
            f"The search is not finished{about}: call search.py with the same --model_dir again. Received: {path}"
        )
    states = saved_states(path / CHECKPOINTS)
    if not states:
        raise UsageError(f"The search has no state left, which held the weights. Received: {path / CHECKPOINTS}")
    return FinishedSearch(path, settings, result, states[-1])
