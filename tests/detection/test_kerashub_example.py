"""The exported backbone in KerasHub's RetinaNet, in a process of its own: these tests run Keras 2 beside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

CODE = """
import sys
import numpy as np
sys.path.insert(0, "examples")
import keras
import kerashub_retinanet as example

keras.utils.set_random_seed(0)
path = sys.argv[1]
images, truth = example.squares(4)
encoder = example.image_encoder(path)
features = encoder(images)
assert {name: tuple(f.shape) for name, f in features.items()} == {
    "P3": (4, 16, 16, 12), "P4": (4, 8, 8, 16), "P5": (4, 4, 4, 16)}
import tensorflow as tf
loaded = tf.saved_model.load(path)
expected = loaded.serve((images / 255 - 0.5) / 0.25)
assert np.allclose(features["P5"], expected["5"], atol=1e-4)  # the manifest's normalisation is inside

detector = example.compiled(example.retinanet(path, num_classes=1), steps=6)
exported = detector.backbone.image_encoder.get_layer("exported")
before = [w.numpy() for w in exported.trainable_weights]
statistics = [w.numpy() for w in exported.non_trainable_weights]
losses = detector.fit(images, truth, batch_size=4, epochs=6, verbose=0).history["loss"]
assert losses[-1] < 0.7 * losses[0], losses
assert len(before) == 10
assert all(np.abs(w.numpy() - b).max() > 0 for w, b in zip(exported.trainable_weights, before))
assert all(np.array_equal(w.numpy(), b) for w, b in zip(exported.non_trainable_weights, statistics))
found = detector.predict(images, verbose=0)
assert found["boxes"].shape[0] == 4 and found["boxes"].shape[-1] == 4
print("fine", losses[0], losses[-1])
"""


def test_it_trains_every_weight_of_the_export(tiny_backbone):
    pytest.importorskip("keras_hub", reason="pip install '.[kerashub]'")
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, tiny_backbone],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1].startswith("fine")
