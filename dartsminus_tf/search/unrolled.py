"""The second-order ("unrolled") gradient of alpha (section 2.3 of the DARTS paper).

With w' = w - xi * (momentum * v + g + l2 * w), g the gradient of L_train, one step of the weights' SGD:

    d L_val(w'(alpha), alpha) / d alpha = grad_alpha L_val(w', alpha) - xi * (d2 L_train / d alpha d w) u,
    u = grad_w' L_val(w', alpha),
    (d2 L_train / d alpha d w) u ~ (grad_alpha L_train(w + e u) - grad_alpha L_train(w - e u)) / (2 e),
    e = 0.01 / ||u||

Clipping is left out of the unrolled step, as in DARTS. All passes use batch statistics; the moving statistics that they
would disturb are put back, so only the weight step moves them.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

Batch = tuple[tf.Tensor, tf.Tensor]
Loss = Callable[[Batch], tuple[tf.Tensor, tf.Tensor]]
STEP = 0.01


def unrolled_gradient(
    losses: tuple[Loss, Loss],
    weights: Sequence[keras.Variable],
    alphas: Sequence[keras.Variable],
    statistics: Sequence[keras.Variable],
    optimizer,
    train: Batch,
    valid: Batch,
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """The gradient of alpha, and the loss and logits on the validation batch. Every variable keeps its value.

    Args:
        losses: of the training and of the validation batch: batch -> (scalar loss, logits [N, classes]) at the
            variables' present values.
        weights, alphas, statistics: the supernet's variables; `statistics` are those that a pass changes.
        optimizer: the weights' SGD of `loop.optimizers`, built on `weights`.
        train, valid: (images [N, H, W, 3], labels [N]).
    """
    train_loss, valid_loss = losses
    weight_values, alpha_values = ([variable.value for variable in group] for group in (weights, alphas))
    start = [tf.identity(value) for value in weight_values]
    kept = [tf.identity(variable.value) for variable in statistics]

    gradient, _, _ = _gradients(train_loss, train, weight_values)
    unrolled, rate = optimizer.lookahead(gradient, weights)
    _assign(weights, unrolled)
    both, loss, logits = _gradients(valid_loss, valid, alpha_values + weight_values)
    direct, direction = both[: len(alphas)], both[len(alphas) :]

    step = STEP / tf.maximum(tf.linalg.global_norm(direction), 1e-12)
    _assign(weights, [w + step * u for w, u in zip(start, direction, strict=True)])
    plus, _, _ = _gradients(train_loss, train, alpha_values)
    _assign(weights, [w - step * u for w, u in zip(start, direction, strict=True)])
    minus, _, _ = _gradients(train_loss, train, alpha_values)
    _assign(weights, start)
    _assign(statistics, kept)
    total = [d - rate * (p - m) / (2.0 * step) for d, p, m in zip(direct, plus, minus, strict=True)]
    return total, loss, logits


def _gradients(loss_of, batch: Batch, values):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, logits = loss_of(batch)
    return tape.gradient(loss, values), loss, logits


def _assign(variables, values) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.value.assign(value)
