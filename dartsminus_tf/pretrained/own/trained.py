"""The network of a finished training run, with its weights."""

from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError, brief
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.pretrained.own.finished import FinishedTraining, finished_training
from dartsminus_tf.pretrained.own.weight_file import ADVICE
from dartsminus_tf.spaces.build import network_from_config
from dartsminus_tf.spaces.network import DerivedNetwork, require_finite


def load_trained(model_dir: str | Path) -> tuple[DerivedNetwork, dict]:
    """The network of a finished training run with its weights, and the run's result.

    Raises:
        UsageError: where `model_dir` is no finished training run, its result is none, or its weights are damaged, not
            finite or of another run.
    """
    done = finished_training(model_dir)
    network = _network_of(done)
    size = done.result["image_size"]
    network.build((1, size, size, 3))
    try:
        network.load_weights(done.weights)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"Not the weights of this network ({brief(error)}): {ADVICE}. Received: {done.weights}"
        ) from None
    require_finite(network, done.weights)
    network.preprocessing = done.result["preprocessing"]
    return network, done.result


def _network_of(done: FinishedTraining) -> DerivedNetwork:
    try:
        return network_from_config(done.result["network"])
    except (UsageError, TypeError) as error:
        where = done.path / RESULT
        raise UsageError(f"The result describes no network ({error}): {ADVICE}. Received: {where}") from None
