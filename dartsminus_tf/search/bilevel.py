"""The bilevel search (sections 2 and 3 of the paper) as a Keras model.

    min over alpha   L_val(w*(alpha), alpha)    with   w*(alpha) = argmin over w  L_train(w, alpha)

First order: every step takes one architecture step (alpha, on a validation batch), then one weight step (w, on a
training batch), each taking the other's variables as constants. The supernet's auxiliary skip and its beta are part of
both losses; alpha's gradient sees it.
"""

import keras
import tensorflow as tf


class BilevelSearch(keras.Model):
    """Trains a supernet with `fit` on batches ((x_train, y_train), (x_valid, y_valid)).

    Args:
        supernet: a built model with `alpha_variables`, `weight_variables` and `beta`.
        alpha_waits: make a switch `alpha_moves` that turns architecture steps off while it is False. Without it the
            step's graph has no branch.

    `evaluate` takes plain batches (x, y). Images are [N, H, W, 3], labels integers [N].
    """

    def __init__(self, supernet: keras.Model, alpha_waits: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.supernet = supernet
        self.alpha_moves = None
        if alpha_waits:
            self.alpha_moves = self.add_weight(
                shape=(), initializer="ones", trainable=False, dtype="bool", name="alpha_moves"
            )
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
        jit_compile: bool | str = "auto",
    ):
        """Set the two optimizers, each on its own variables, and the loss (of logits; cross-entropy by default)."""
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer=weight_optimizer, loss=loss, jit_compile=jit_compile)
        self.alpha_optimizer = alpha_optimizer
        self.optimizer.build(self.supernet.weight_variables)
        self.alpha_optimizer.build(self.supernet.alpha_variables)

    def get_compile_config(self):
        return {
            "weight_optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "alpha_optimizer": keras.saving.serialize_keras_object(self.alpha_optimizer),
            "loss": keras.saving.serialize_keras_object(self.loss),
        }

    def compile_from_config(self, config):
        self.compile(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})

    def call(self, x, training=False):
        return self.supernet(x, training=training)

    @property
    def metrics(self):
        return [self.loss_metric, self.accuracy_metric, self.alpha_loss_metric, self.alpha_accuracy_metric]

    def train_step(self, data):
        (x_train, y_train), (x_valid, y_valid) = data
        self._if_alpha_moves(lambda: self.architecture_step(x_valid, y_valid))
        self.weight_step(x_train, y_train)
        return {metric.name: metric.result() for metric in self.metrics}

    def _if_alpha_moves(self, step) -> None:
        """Take `step`, which returns None, unless the switch is there and off."""
        if self.alpha_moves is None:
            step()
        else:
            tf.cond(tf.convert_to_tensor(self.alpha_moves), step, lambda: None)

    def architecture_step(self, x: tf.Tensor, y: tf.Tensor) -> None:
        """Move alpha down the validation loss."""
        loss, logits = self._descend(x, y, self.supernet.alpha_variables, self.alpha_optimizer)
        self.alpha_loss_metric.update_state(loss)
        self.alpha_accuracy_metric.update_state(y, logits)

    def weight_step(self, x: tf.Tensor, y: tf.Tensor) -> None:
        """Move the weights down the training loss."""
        loss, logits = self._descend(x, y, self.supernet.weight_variables, self.optimizer)
        self.loss_metric.update_state(loss)
        self.accuracy_metric.update_state(y, logits)

    def _descend(self, x, y, variables, optimizer):
        """One step of `optimizer`. The tape watches `variables` alone, so that no other gradient is computed."""
        values = [variable.value for variable in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits = self.supernet(x, training=True)
            loss = self.loss(y, logits)
        optimizer.apply(tape.gradient(loss, values), variables)
        return loss, logits

    def test_step(self, data):
        x, y = data
        logits = self.supernet(x, training=False)
        self.loss_metric.update_state(self.loss(y, logits), sample_weight=tf.shape(y)[0])
        self.accuracy_metric.update_state(y, logits)
        return {metric.name: metric.result() for metric in self.metrics[:2]}
