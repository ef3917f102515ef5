"""The exported backbone inside KerasHub's RetinaNet: object detection in Keras 3 alone, without tf_keras.

    pip install ".[kerashub]"
    python examples/kerashub_retinanet.py runs/backbone            # a tiny run on drawn squares

`image_encoder(...)` is all that a project of its own needs; the rest of this file shows it at work.
"""

import json
import sys
from pathlib import Path

import keras
import keras_hub
import numpy as np

SIDE = 128


@keras.saving.register_keras_serializable("dartsminus_tf.examples")
class ExportedBackbone(keras.layers.TFSMLayer):
    """A backbone that `tools/export.py` wrote, as a layer: images `[N, H, W, 3]` to `{"P3": ..., "P4": ...}`.

    While it trains it uses the export's `train` endpoint, which moves the batch norm's statistics.

    Args:
        filepath: the export's folder.
        levels: pyramid levels to return, with their channels.
        freeze_batch_norm: train the weights with the statistics fixed, for batches of a few images.
    """

    def __init__(self, filepath: str, levels: dict[str, int], freeze_batch_norm: bool = False, **kwargs):
        super().__init__(filepath, call_endpoint="serve", call_training_endpoint="train", **kwargs)
        self.levels, self.freeze_batch_norm = dict(levels), freeze_batch_norm

    def _add_existing_weight(self, weight):
        # TFSMLayer takes over TensorFlow's "kernel:0", which optimizers then refuse as the name of a slot.
        name = weight.name.split(":")[0].replace("/", "_")
        variable = keras.Variable(weight, trainable=weight.trainable, dtype=weight.dtype, name=name)
        self._track_variable(variable)

    def call(self, inputs, training=False):
        features = super().call(inputs, training=training and self.trainable and not self.freeze_batch_norm)
        return {f"P{level}": features[level] for level in self.levels}

    def compute_output_shape(self, input_shape):
        batch, *sides = input_shape[:3]
        return {
            f"P{level}": (batch, *(side and side // 2 ** int(level) for side in sides), channels)
            for level, channels in self.levels.items()
        }

    def compute_output_spec(self, inputs, training=False):
        shapes = self.compute_output_shape(inputs.shape)
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def get_config(self):
        config = super().get_config()
        keys = {key: config[key] for key in ("name", "trainable")}
        return keys | {"filepath": self.filepath, "levels": self.levels, "freeze_batch_norm": self.freeze_batch_norm}


def image_encoder(saved_model: str, freeze_batch_norm: bool = False) -> keras.Model:
    """The export as KerasHub's detectors want it: a model of pixels 0..255 that has `pyramid_outputs`.

    The manifest's normalisation is inside, so images go in as they are.
    """
    manifest = json.loads((Path(saved_model) / "manifest.json").read_text(encoding="utf-8"))
    mean, std = (np.array(manifest["preprocessing"][key]) * 255 for key in ("mean", "std"))
    channels = {level: entry["channels"] for level, entry in manifest["levels"].items()}
    images = keras.Input((None, None, 3), name="images")
    normalised = keras.layers.Normalization(mean=mean, variance=std**2, name="normalise")(images)
    features = ExportedBackbone(str(saved_model), channels, freeze_batch_norm, name="exported")(normalised)
    model = keras.Model(images, features, name="image_encoder")
    model.pyramid_outputs = features
    return model


def retinanet(saved_model: str, num_classes: int, side: int = SIDE) -> keras_hub.models.RetinaNetObjectDetector:
    """KerasHub's RetinaNet, not compiled, for images of `side` pixels with boxes `[ymin, xmin, ymax, xmax]`."""
    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder(saved_model, freeze_batch_norm=True),
        min_level=3,
        max_level=5,
        use_p5=False,
        image_shape=(side, side, 3),
    )
    return keras_hub.models.RetinaNetObjectDetector(
        backbone, num_classes, bounding_box_format="yxyx", pre_logits_num_conv_layers=1
    )


def squares(count: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Grey images with one bright square each: images `[count, SIDE, SIDE, 3]`, `{"boxes": ..., "labels": ...}`."""
    generator = np.random.default_rng(seed)
    images = generator.integers(60, 90, (count, SIDE, SIDE, 3)).astype("float32")
    boxes = np.zeros((count, 1, 4), "float32")
    for image, box in zip(images, boxes, strict=True):
        size = generator.integers(32, 56)
        top, left = generator.integers(0, SIDE - size, 2)
        image[top : top + size, left : left + size] = 230
        box[0] = top, left, top + size, left + size
    return images, {"boxes": boxes, "labels": np.zeros((count, 1), "float32")}


def compiled(
    detector: keras_hub.models.RetinaNetObjectDetector, steps: int
) -> keras_hub.models.RetinaNetObjectDetector:
    """The detector with Adam for `steps` steps, KerasHub's focal loss, and L1 for boxes.

    KerasHub's default there, Huber's loss, is quadratic below 1: boxes that are a fifth of an anchor off hardly move.
    """
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    box_loss = keras.losses.MeanAbsoluteError(reduction="sum")
    detector.compile(optimizer=keras.optimizers.Adam(rate, global_clipnorm=10.0), box_loss=box_loss)
    return detector


def main(saved_model: str) -> None:
    """Trains on drawn squares for two or three minutes, and prints how well the best detections fit them."""
    keras.utils.set_random_seed(0)
    images, truth = squares(16)
    detector = compiled(retinanet(saved_model, num_classes=1), steps=80 * 4)
    history = detector.fit(images, truth, batch_size=4, epochs=80, verbose=0).history["loss"]
    best = detector.predict(images, verbose=0)["boxes"][:, :1]
    overlaps = np.array(keras.utils.bounding_boxes.compute_iou(best, truth["boxes"], "yxyx"))
    print(f"loss {history[0]:.2f} -> {history[-1]:.2f}, IoU of the best detections {overlaps.mean():.2f}")
    print("found", best[0, 0].round(1), "truth", truth["boxes"][0, 0])


if __name__ == "__main__":
    main(sys.argv[1])
