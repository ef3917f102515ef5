"""The bilevel search (sections 2 and 3 of the paper) as a Keras model.

    min over alpha   L_val(w*(alpha), alpha)    with   w*(alpha) = argmin over w  L_train(w, alpha)

Every step takes one architecture step (alpha, on a validation batch), then one weight step (w, on a training batch).
First order takes w as a constant in the architecture step; second order differentiates through one step of the weights'
SGD (see `unrolled`). The supernet's auxiliary skip and its beta are part of both losses; alpha's gradient sees it.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.distill import Distillation
from dartsminus_tf.loop.distribution import step_results, unscale_loss
from dartsminus_tf.ops import step
from dartsminus_tf.search.unrolled import unrolled_gradient

ORDERS = ("first", "second")


class BilevelSearch(keras.Model):
    """Trains a supernet with `fit` on batches ((x_train, y_train), (x_valid, y_valid)).

    Args:
        supernet: a model with `alpha_variables`, `weight_variables` and `beta`.
        order: "first" or "second".
        alpha_penalty: () -> a scalar that the architecture step adds to the validation loss, such as `flops_penalty`.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.

    Attributes:
        distillation: a teacher in the loss of the weight step, and so in the step of the weights that the second order
            looks ahead by; alpha's own loss has the labels alone. None: there is none.
        alpha_moves: whether steps take their architecture step; call `make_train_function(force=True)` after a change.

    `evaluate` takes plain batches (x, y). Images are [N, H, W, 3], labels integers [N].
    """

    def __init__(
        self,
        supernet: keras.Model,
        order: str = "first",
        sync_batch_norm: bool = False,
        alpha_penalty: Callable[[], tf.Tensor] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if order not in ORDERS:
            raise UsageError(f"order must be one of {', '.join(ORDERS)}. Received: {order!r}")
        self.supernet, self.order, self.alpha_penalty = supernet, order, alpha_penalty
        self.sync_batch_norm, self.alpha_moves = sync_batch_norm, True
        self.distillation: Distillation | None = None
        self.random_seed = step.new_seed()
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.accuracy_metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.alpha_loss_metric = keras.metrics.Mean(name="alpha_loss")
        self.alpha_accuracy_metric = keras.metrics.SparseCategoricalAccuracy(name="alpha_accuracy")

    def build(self, input_shape):
        if not self.supernet.built:
            self.supernet.build(input_shape)

    def compile(
        self,
        weight_optimizer: keras.optimizers.Optimizer,
        alpha_optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss | None = None,
        jit_compile: bool = False,
    ):
        """Set the two optimizers, each on its own variables, and the loss (of logits; cross-entropy by default).

        `jit_compile` compiles the whole step by XLA, which takes minutes to hours before the first one: Keras' own
        default would do so wherever a GPU is visible.
        """
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer=weight_optimizer, loss=loss, jit_compile=jit_compile)
        self.alpha_optimizer = alpha_optimizer
        self.optimizer.build(self.supernet.weight_variables)
        self.alpha_optimizer.build(self.supernet.alpha_variables)

    def call(self, x, training=False):
        return self.supernet(x, training=training)

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Those of the weights and of alpha."""
        return [self.optimizer, self.alpha_optimizer]

    @property
    def metrics(self):
        return [self.loss_metric, self.accuracy_metric, self.alpha_loss_metric, self.alpha_accuracy_metric]

    def train_step(self, data):
        train, valid = data
        with step.settings(self.random_seed, self.optimizer.iterations, self.sync_batch_norm):
            if self.alpha_moves and self.order == "first":
                self.architecture_step(*valid)
            elif self.alpha_moves:
                self.unrolled_architecture_step(train, valid)
            self.weight_step(*train)
        return step_results(self.metrics)

    def architecture_step(self, x: tf.Tensor, y: tf.Tensor) -> None:
        """Move alpha down the validation loss."""
        variables = self.supernet.alpha_variables
        gradients, loss, logits = self._gradients(self._loss_of, (x, y), variables, self.alpha_optimizer)
        self.alpha_optimizer.apply(self._with_penalty(gradients), variables)
        self._measure_alpha(loss, y, logits)

    def unrolled_architecture_step(self, train, valid) -> None:
        """Move alpha down the validation loss after one more step of the weights, which are put back."""
        net = self.supernet
        gradients, loss, logits = unrolled_gradient(
            (self._weight_loss_of, self._loss_of),
            net.weight_variables,
            net.alpha_variables,
            [v for v in net.non_trainable_variables if v is not net.beta],
            self.optimizer,
            train,
            valid,
        )
        self.alpha_optimizer.apply(self._with_penalty(gradients), net.alpha_variables)
        self._measure_alpha(loss, valid[1], logits)

    def _measure_alpha(self, loss, y, logits) -> None:
        self.alpha_loss_metric.update_state(unscale_loss(loss))
        self.alpha_accuracy_metric.update_state(y, logits)

    def _loss_of(self, batch):
        x, y = batch
        logits = self.supernet(x, training=True)
        return self.loss(y, logits), logits

    def _weight_loss_of(self, batch):
        loss, logits = self._loss_of(batch)
        return loss if self.distillation is None else self.distillation.loss(batch[0], loss, logits), logits

    def weight_step(self, x: tf.Tensor, y: tf.Tensor) -> None:
        """Move the weights down the training loss."""
        variables = self.supernet.weight_variables
        gradients, loss, logits = self._gradients(self._weight_loss_of, (x, y), variables, self.optimizer)
        self.optimizer.apply(gradients, variables)
        self.loss_metric.update_state(unscale_loss(loss))
        self.accuracy_metric.update_state(y, logits)

    def _gradients(self, loss_of, batch, variables, optimizer):
        """Gradients of a batch's loss as `optimizer` scales it, the loss and the logits. The tape watches `variables`
        alone, so that no other gradient is computed."""
        values = [variable.value for variable in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss, logits = loss_of(batch)
            scaled = optimizer.scale_loss(loss)
        return tape.gradient(scaled, values), loss, logits

    def _with_penalty(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients of alpha with those of the penalty."""
        if self.alpha_penalty is None:
            return gradients
        values = [variable.value for variable in self.supernet.alpha_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            penalty = self.alpha_optimizer.scale_loss(self.alpha_penalty())
        added = tape.gradient(penalty, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [gradient + more for gradient, more in zip(gradients, added, strict=True)]

    def test_step(self, data):
        x, y = data
        with step.settings(self.random_seed + 2**31, self.accuracy_metric.count):
            logits = self.supernet(x, training=False)
        self.loss_metric.update_state(unscale_loss(self.loss(y, logits)), sample_weight=tf.shape(y)[0])
        self.accuracy_metric.update_state(y, logits)
        return step_results(self.metrics[:2])


class AlphaStart(keras.callbacks.Callback):
    """Turns architecture steps on from epoch `start` (from 0); before it, the logs have no losses of alpha.

    The step is traced anew then: without architecture steps its graph has half the size.
    """

    def __init__(self, start: int):
        super().__init__()
        self.start = start

    def on_epoch_begin(self, epoch, logs=None):
        moves = epoch >= self.start
        if moves != self.model.alpha_moves:
            self.model.alpha_moves = moves
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and epoch < self.start:
            for metric in (self.model.alpha_loss_metric, self.model.alpha_accuracy_metric):
                logs.pop(metric.name, None)
