"""Supernets and derived networks against vectors made with the authors' PyTorch code."""

import json

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.torch_state import torch_slots

SEARCH = ["search_s0", "search_s1", "search_s3", "search_nb201"]
SPACES = {"s5": "s0"}  # the released code calls S0 "s5"
NETWORKS = ["eval_cifar_s0", "eval_cifar_s4_noise_free", "eval_imagenet_s0"]


def read(golden, name):
    with np.load(golden / f"{name}.npz", allow_pickle=False) as arrays:
        arrays = dict(arrays)
    parameters = {key[6:]: value for key, value in arrays.items() if key.startswith("param/")}
    return arrays, json.loads(str(arrays["meta"])), parameters, tf.constant(arrays["x"].transpose(0, 2, 3, 1))


@pytest.mark.parametrize("name", SEARCH)
def test_supernet(golden, name):
    arrays, meta, parameters, x = read(golden, name)
    space = meta.get("space", "nasbench201")
    net = dm.build_supernet(SPACES.get(space, space), meta["C"], meta.get("L") or meta["N"], 10)
    net.build(x.shape)
    dm.load_torch_state(net, parameters)
    suffixes = {kind: "" if kind == "cell" else f"_{kind}" for kind in net.alphas}  # the benchmark has one cell
    for kind, suffix in suffixes.items():
        net.alphas[kind].assign(arrays[f"alphas{suffix}"])
    net.beta.assign(float(arrays["beta"]))
    slots = torch_slots(net)
    names = [key[5:] for key in arrays if key.startswith("grad/")]

    @tf.function
    def loss_and_gradients():
        watched = [v.value for v in net.alpha_variables] + [slots[n].variable.value for n in names]
        with tf.GradientTape() as tape:
            logits = net(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=arrays["y"], logits=logits)
            loss = tf.reduce_mean(losses)
        return logits, loss, tape.gradient(loss, watched)

    logits, loss, gradients = loss_and_gradients()
    np.testing.assert_allclose(logits, arrays["logits"], atol=1e-4)
    assert abs(float(loss) - float(arrays["loss"])) < 1e-4
    count = len(net.alpha_variables)
    for suffix, gradient in zip(suffixes.values(), gradients[:count], strict=True):
        expected = arrays[f"grad_alphas{suffix}"]
        assert np.abs(gradient - expected).max() < 1e-3 * np.abs(expected).max()
    for weight, gradient in zip(names, gradients[count:], strict=True):
        expected = arrays[f"grad/{weight}"]
        ours = gradient.numpy().transpose(3, 2, 0, 1) if gradient.ndim == 4 else gradient.numpy().T
        assert np.abs(ours - expected).max() < 2e-3 * np.abs(expected).max(), weight
    assert net.genotype() == dm.Genotype.from_string(meta.get("genotype") or meta["arch"])


@pytest.mark.parametrize("name", NETWORKS)
def test_derived_network(golden, name):
    arrays, meta, parameters, x = read(golden, name)
    genotype, stem = dm.Genotype.from_dict(meta["genotype"]), "imagenet" if meta["imagenet"] else "cifar"
    model = dm.build_network(genotype, meta["C"], meta["L"], meta["classes"], stem=stem, auxiliary=True)
    model.build(x.shape)
    dm.load_torch_state(model, parameters)
    logits, auxiliary = model(x, training=True)
    np.testing.assert_allclose(logits, arrays["logits_train"], atol=1e-4)
    np.testing.assert_allclose(auxiliary, arrays["logits_aux"], atol=1e-4)
    np.testing.assert_allclose(model(x, training=False), arrays["logits_eval"], atol=1e-4)
    slots = torch_slots(model)
    after = [key for key in arrays if key.startswith("after/")]
    assert after
    for key in after:
        np.testing.assert_allclose(slots[key[6:]].variable.numpy(), arrays[key], atol=1e-4)


def test_loading_is_strict(golden):
    _, meta, parameters, x = read(golden, "eval_cifar_s0")
    model = dm.build_network(dm.Genotype.from_dict(meta["genotype"]), meta["C"], meta["L"], 10, auxiliary=True)
    with pytest.raises(UsageError, match="Call the model once"):
        dm.load_torch_state(model, parameters)
    model.build(x.shape)
    before = model.classifier.bias.numpy()
    missing = {name: value for name, value in parameters.items() if name != "stem.0.weight"}
    with pytest.raises(UsageError, match=r"missing.*stem\.0\.weight"):
        dm.load_torch_state(model, missing)
    with pytest.raises(UsageError, match="no place.*extra"):
        dm.load_torch_state(model, {**parameters, "extra": np.zeros(1)})
    with pytest.raises(UsageError, match="does not fit"):
        dm.load_torch_state(model, {**parameters, "classifier.bias": np.zeros(11)})
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(UsageError, match=r"'classifier\.bias' must hold finite numbers"):
            dm.load_torch_state(model, {**parameters, "classifier.bias": np.array([0.0] * 9 + [value])})
    np.testing.assert_array_equal(model.classifier.bias.numpy(), before)
