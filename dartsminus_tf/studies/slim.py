"""`dartsminus-slim`: from a trained network to one of a share of its cost, for the same data.

search    by DARTS- in a supernet that starts from the network's weights, the network as teacher
train     what is found, with the supernet's weights and the same teacher, as the network itself was trained
"""

from pathlib import Path

import keras

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.studies.slim_settings import SlimSettings
from dartsminus_tf.train.runner import run_training

PARTS = ("search", "train")


def run_slim(settings: SlimSettings, run_dir: str | Path, model_dir: str | Path) -> str:
    """Search and train in `model_dir`; what is finished stays. Returns the line that says what has come out.

    Raises:
        UsageError: where `model_dir` holds anything else, or either cannot be.
    """
    path = Path(model_dir)
    others = [child.name for child in path.iterdir() if child.name not in PARTS] if path.is_dir() else []
    if others or (path.exists() and not path.is_dir()):
        raise UsageError(f"--model_dir must be new, or hold search and train alone. Received: {path}")
    run_search(settings.search, path / "search")
    keras.backend.clear_session()
    found, whole = run_training(settings.train, path / "train"), finished_training(run_dir).result
    share, points = found["multiply_adds"] / whole["multiply_adds"], found["test_accuracy"] - whole["test_accuracy"]
    return (
        f"slim finished: {found['multiply_adds']:,} multiply-adds, {share:.3f} of the whole network's; "
        f"test accuracy {found['test_accuracy']:.4f}, {100 * points:+.2f} points"
    )
