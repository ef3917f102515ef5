"""A derived network with its training losses, as a Keras model that `fit` trains."""

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.loop.distill import Distillation
from dartsminus_tf.loop.distribution import step_results, unscale_loss
from dartsminus_tf.ops import step
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.train.average import WeightAverage


class NetworkTraining(keras.Model):
    """Trains `network` on batches (images [N, H, W, 3], labels [N] or, mixed, [N, classes]):

        loss = CE(logits, y) + auxiliary_weight * CE(auxiliary logits, y)

    With a teacher the first term is that of `loop.distill`.

    With class weights w each example's cross entropies are multiplied by sum_c y_c w_c before the mean over the batch:
    by the weight of its class, and for a mixed example by the weights of its classes in the shares that they are mixed
    in. Label smoothing changes the target, not that weight.

    Args:
        network: with or without an auxiliary head.
        auxiliary_weight: of the auxiliary head's loss.
        label_smoothing: share of the target that is spread over all classes, in training.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.
        ema_decay: of the average of the network's variables, which is then what is evaluated; 0 is off.

    Attributes:
        distillation: the loss with a teacher; None: there is none.
        backbone_rate: multiple of the learning rate of all but the classifier and the auxiliary head; before `compile`.
        still_statistics: batch norms use the moving statistics in training too, and leave them alone.
        backbone_moves: whether steps train more than these; call `make_train_function(force=True)` after a change.
        class_weights: [classes] of the loss in training; None: all weigh alike.
    """

    def __init__(
        self,
        network: DerivedNetwork,
        auxiliary_weight: float = 0.4,
        label_smoothing: float = 0.0,
        sync_batch_norm: bool = False,
        ema_decay: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.auxiliary_weight, self.sync_batch_norm = auxiliary_weight, sync_batch_norm
        self.ema_decay, self.average = ema_decay, None
        self.distillation: Distillation | None = None
        self.backbone_rate, self.still_statistics, self.backbone_moves = 1.0, False, True
        self.random_seed = step.new_seed()
        self.class_weights: np.ndarray | None = None
        self.train_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
        self.test_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.accuracy_metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.top5_metric = keras.metrics.SparseTopKCategoricalAccuracy(k=5, name="top5_accuracy")

    def build(self, input_shape):
        if not self.network.built:
            self.network.build(input_shape)
        if self.ema_decay and self.average is None:
            self.average = WeightAverage(self.network, self.ema_decay)
            self.average.build()

    def compile(self, optimizer: keras.optimizers.Optimizer, jit_compile: bool = False):
        """Set the optimizer, built on the network's trainable variables; `jit_compile` is XLA, off as in a search."""
        super().compile(optimizer=optimizer, jit_compile=jit_compile)
        self.optimizer.build(self.network.trainable_variables)
        if self.backbone_rate != 1.0:
            self.optimizer.multiply_rate(self._trained_variables(of_backbone=True), self.backbone_rate)

    def call(self, x, training=False):
        return self.network(x, training=training)

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The one that there is."""
        return [self.optimizer]

    @property
    def metrics(self):
        return [self.loss_metric, self.accuracy_metric, self.top5_metric]

    def train_step(self, data):
        x, y = data
        mixed = y.shape.rank == 2
        target = y if mixed else tf.one_hot(y, self.network.num_classes)
        variables = self.network.trainable_variables if self.backbone_moves else self._trained_variables(False)
        values = [variable.value for variable in variables]
        settings = step.settings(
            self.random_seed, self.optimizer.iterations, self.sync_batch_norm, self.still_statistics
        )
        with settings, tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)  # these alone, so that no other gradient is computed
            logits, auxiliary = self._outputs(x)
            loss = self._weighed_loss(target, logits)
            if self.distillation is not None:
                loss = self.distillation.loss(x, loss, logits)
            if auxiliary is not None:
                loss += self.auxiliary_weight * self._weighed_loss(target, auxiliary)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, values), variables)
        if self.average is not None:
            self.average.update(self.optimizer.iterations.value - 1)
        return self._measure(loss, tf.argmax(y, axis=-1) if mixed else y, logits)

    def _outputs(self, x):
        """Logits, and those of the auxiliary head or None, in training."""
        network = self.network
        outputs = network(x, training=True) if self.backbone_moves else network.call_with_still_backbone(x)
        return outputs if network.auxiliary else (outputs, None)

    def _trained_variables(self, of_backbone: bool) -> list[keras.Variable]:
        """Those of the classifier and the auxiliary head that are trained, or all others."""
        of_classifier = {id(variable) for variable in self.network.classifier_variables}
        return [v for v in self.network.trainable_variables if (id(v) not in of_classifier) == of_backbone]

    def _weighed_loss(self, target, logits):
        weights = None if self.class_weights is None else tf.linalg.matvec(target, self.class_weights)
        return self.train_loss(target, logits, sample_weight=weights)

    def test_step(self, data):
        x, y = data
        if self.average is None:
            logits = self.network(x, training=False)
        else:
            logits, _ = self.network.stateless_call(*self.average.values(), x, training=False)
        return self._measure(self.test_loss(y, logits), y, logits)

    def keep_average(self) -> None:
        """Give the network the averaged weights, where there are any: the end of a training."""
        if self.average is not None:
            self.average.assign_to_network()

    def _measure(self, loss, y, logits):
        self.loss_metric.update_state(unscale_loss(loss), sample_weight=tf.shape(y)[0])
        self.accuracy_metric.update_state(y, logits)
        self.top5_metric.update_state(y, logits)
        return step_results(self.metrics)


class DropPathSchedule(keras.callbacks.Callback):
    """Raises the drop path rate linearly with the epoch: `rate * e / E`."""

    def __init__(self, rate: float, epochs: int):
        super().__init__()
        self.rate, self.epochs = rate, epochs

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.network.drop_path_rate is not None:
            self.model.network.drop_path_rate.assign(self.rate * epoch / self.epochs)


class BackboneStart(keras.callbacks.Callback):
    """Lets all but the classifier and the auxiliary head move from epoch `start` (from 0).

    The step is traced anew then: before, it has no backward pass through the backbone.
    """

    def __init__(self, start: int):
        super().__init__()
        self.start = start

    def on_epoch_begin(self, epoch, logs=None):
        moves = epoch >= self.start
        if moves != self.model.backbone_moves:
            self.model.backbone_moves = moves
            self.model.make_train_function(force=True)
