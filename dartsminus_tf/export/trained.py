"""The export of a finished training."""

from collections.abc import Sequence
from pathlib import Path

from dartsminus_tf.export.saved_model import export_backbone
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.spaces.network import DerivedNetwork

METRICS = ("test_accuracy", "test_top5_accuracy", "test_loss")


def export_training(
    model_dir: str | Path, export_dir: str | Path, formats: Sequence[str] = ()
) -> tuple[DerivedNetwork, dict]:
    """Write the network of a finished training to `export_dir` (see `export_backbone`); returns it and its result.

    Raises:
        UsageError: see `load_trained` and `export_backbone`.
    """
    network, result = load_trained(model_dir)
    export_backbone(
        network,
        export_dir,
        preprocessing=result["preprocessing"],
        metrics={name: result[name] for name in METRICS},
        class_names=result["class_names"],
        source_run=str(model_dir),
        data=result["data"],
        recipe=(Path(model_dir) / "config.yaml").read_text(encoding="utf-8"),
        formats=formats,
        space=result.get("space"),
    )
    return network, result
