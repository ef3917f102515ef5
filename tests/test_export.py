import json

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from detection.model.manifest import read_manifest


@pytest.fixture(scope="module")
def network():
    model = dm.build_network(
        dm.published_genotype("cifar10_s0_0"), channels=4, layers=3, num_classes=5, stem="imagenet", drop_path=0.2
    )
    model(tf.random.normal([2, 64, 64, 3]), training=True)
    return model


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = dm.export_backbone(network, tmp_path_factory.mktemp("export") / "backbone", metrics={"test_accuracy": 0.5})
    return path, tf.saved_model.load(str(path))


def test_reload_parity(network, exported):
    x = tf.random.normal([3, 96, 64, 3])
    loaded = exported[1]
    for level, features in network.features(x).items():
        np.testing.assert_allclose(loaded.serve(x)[level], features, atol=1e-5)
    np.testing.assert_allclose(loaded.classify(x), network(x), atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (33, 47), (1, 1)])
def test_any_size(exported, size):
    features = exported[1].serve(tf.random.normal([1, *size, 3]))
    for level, channels in (("3", 16), ("4", 32), ("5", 64)):
        stride = 2 ** int(level)
        assert features[level].shape == (1, -(-size[0] // stride), -(-size[1] // stride), channels)


def test_gradients_reach_every_variable_of_train(exported):
    loaded = exported[1]
    variables = list(loaded.backbone_trainable)
    assert len(variables) > 50
    before = [v.numpy() for v in loaded.backbone_non_trainable]
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(f**2) for f in loaded.train(tf.random.normal([2, 64, 64, 3])).values()])
    assert all(gradient is not None for gradient in tape.gradient(loss, variables))
    assert all(np.any(a != b.numpy()) for a, b in zip(before, loaded.backbone_non_trainable, strict=True))
    loaded.serve(tf.random.normal([2, 64, 64, 3]))
    after = [v.numpy() for v in loaded.backbone_non_trainable]
    loaded.serve(tf.random.normal([2, 64, 64, 3]))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(after, loaded.backbone_non_trainable, strict=True))


def test_train_has_no_drop_path(exported):
    x = tf.random.normal([2, 64, 64, 3])
    first, second = exported[1].train(x), exported[1].train(x)
    for level in first:
        np.testing.assert_allclose(first[level], second[level], atol=1e-5)


def test_manifest(network, exported):
    manifest = json.loads((exported[0] / "manifest.json").read_text())
    assert manifest["format"] == "dartsminus_tf.backbone" and manifest["format_version"] == 1
    assert dm.Genotype.from_dict(manifest["genotype"]) == network.genotype
    assert manifest["levels"]["4"] == {"channels": 32, "stride": 16}
    assert manifest["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert {key: manifest[key] for key in ("parameters", "multiply_adds")} == dm.count(network)
    assert manifest["metrics"] == {"test_accuracy": 0.5} and manifest["versions"]["tensorflow"] == tf.__version__
    files = {name for name in manifest["digests"] if not name.startswith("variables/")}
    assert files == {"saved_model.pb", "fingerprint.pb", "manifest.json"} and len(manifest["digests"]) == 5
    assert read_manifest(str(exported[0])).channels == {3: 16, 4: 32, 5: 64}


def test_a_taken_path_is_left_alone(network, tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UsageError, match="new or empty"):
        dm.export_backbone(network, tmp_path)
    assert (tmp_path / "precious").read_text() == "x"


def test_only_built_networks_are_exported(tmp_path):
    with pytest.raises(UsageError, match="Call the model once"):
        dm.export_backbone(dm.build_network(dm.published_genotype("cifar10_s0_0"), 4, 3), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def independent_multiply_adds(genotype, channels, layers, classes, size) -> int:
    """Counted from FACTS alone, for the ImageNet stem."""
    total = 9 * 3 * (channels // 2) * (size // 2) ** 2
    total += 9 * (channels // 2) * channels * (size // 4) ** 2 + 9 * channels * channels * (size // 8) ** 2
    older, newer, side, c = channels, channels, size // 8, channels
    for layer in range(layers):
        reduction = layer in (layers // 3, 2 * layers // 3)
        c = 2 * c if reduction else c
        total += (older + newer) * c * side**2  # a FactorizedReduce ends at `side` too, one 1x1 a value
        entries = genotype.reduce if reduction else genotype.normal
        out = side // 2 if reduction else side
        for op, source in entries:
            target = out if reduction else side
            here = target**2
            if op.startswith("sep_conv"):
                total += 2 * here * c * (int(op[-1]) ** 2 + c)
            elif op.startswith("dil_conv"):
                total += here * c * (int(op[-1]) ** 2 + c)
            elif op == "skip_connect" and reduction and source < 2:
                total += here * c * c
        side = out
        older, newer = newer, c * len(genotype.reduce_concat if reduction else genotype.normal_concat)
    return total + newer * classes


def test_multiply_adds_equal_an_independent_count():
    genotype = dm.published_genotype("cifar10_s0_best")
    model = dm.build_network(genotype, 8, 5, 7, stem="imagenet", auxiliary=True)
    model.build((1, 224, 224, 3))
    assert dm.count(model)["multiply_adds"] == independent_multiply_adds(genotype, 8, 5, 7, 224)
    assert dm.count(model, 448)["multiply_adds"] > 3.9 * dm.count(model)["multiply_adds"]
    head = sum(np.prod(v.shape) for v in model.auxiliary_head.trainable_variables)
    everything = sum(np.prod(v.shape) for v in model.trainable_variables)
    assert dm.count(model)["parameters"] == everything - head


def test_bad_network_arguments_give_one_line():
    genotype = dm.published_genotype("cifar10_s0_0")
    for arguments, message in [
        ({"stem": "x"}, "stem"),
        ({"channels": 7}, "multiple of 2"),
        ({"layers": 2}, "at least 3"),
        ({"num_classes": 0}, "num_classes"),
        ({"drop_path": 1.0}, "drop_path"),
    ]:
        with pytest.raises(UsageError, match=message):
            dm.build_network(genotype, **arguments)
    with pytest.raises(UsageError, match="multiple of 4"):
        dm.build_network(genotype, 4, 3).build((1, 30, 32, 3))
    with pytest.raises(UsageError, match="multiple of 32"):
        dm.build_network(genotype, 4, 3, stem="imagenet").build((1, 48, 64, 3))
    with pytest.raises(UsageError, match="auxiliary head needs a 8x8"):
        dm.build_network(genotype, 4, 3, auxiliary=True).build((1, 16, 16, 3))
