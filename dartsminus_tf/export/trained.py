"""Exports what a training run left."""

from pathlib import Path

from dartsminus_tf.export.saved_model import export_backbone
from dartsminus_tf.train.runner import load_trained


def export_trained(model_dir: str | Path, export_dir: str | Path | None = None) -> str:
    """Export the network of a finished run to `export_dir` (by default `model_dir`/backbone); returns a summary line."""
    network, result = load_trained(model_dir)
    path = export_backbone(
        network,
        export_dir or Path(model_dir) / "backbone",
        preprocessing=result["preprocessing"],
        metrics={name: result[name] for name in ("test_accuracy", "test_top5_accuracy", "test_loss")},
        class_names=result["class_names"],
        source_run=str(model_dir),
    )
    levels = ", ".join(f"{level}: {about['channels']}" for level, about in network.levels.items())
    return f"exported {path}: channels at levels {levels}; test accuracy {result['test_accuracy']:.4f}"
