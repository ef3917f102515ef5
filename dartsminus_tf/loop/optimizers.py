"""SGD and Adam as PyTorch defines them, which is how the method's numbers were made; RMSprop as MobileNets use it.

SGD and Adam differ from Keras' in three ways: L2 is added to the gradient (Keras' `weight_decay` is decoupled), after
clipping; momentum accumulates gradients without the learning rate, so a change of the rate acts at once; and Adam
corrects the second moment before it adds epsilon.

Under `tf.distribute` losses are divided by the number of replicas, so the sum of the replicas' gradients is that of the
global batch; it is taken before the clipping. (Keras clips each replica's part.)

Float16 has gradients below its range, so its loss is scaled up before differentiation and the gradients down again
(Micikevicius et al., ICLR 2018). Keras scales for the model's own optimizer only; here every optimizer has a scale.
"""

import keras
import tensorflow as tf

from dartsminus_tf.config import WeightsConfig
from dartsminus_tf.foundation.config.typed import Precision
from dartsminus_tf.loop.precision import needs_loss_scale

FIRST_LOSS_SCALE, STEPS_TO_GROW = 2.0**15, 2000


class GlobalGradients:
    """What all optimizers share: gradients of the global batch, the largest of them noted, and scales of rate and loss.

    Args:
        dynamic_loss_scale: gradients are those of `scale_loss(loss)`. A step whose gradients are not finite changes
            nothing and halves the scale; 2,000 others in a row double it.

    Attributes:
        largest_gradient: [2], the norm of the largest gradient of one variable in the last step, and that variable's
            number. A norm that is not finite is the largest.
        rate_scale: the learning rate is multiplied by it; 1 unless a run has stepped back (see `loop.faults`).

    A step may be of some of the variables that it was built with: the others and their momentum stay as they are.
    """

    def __init__(self, *args, dynamic_loss_scale: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.dynamic_loss_scale = dynamic_loss_scale
        self._rate_multiples: dict[int, float] = {}  # {number of a variable: multiple of the rate}
        self._numbers: list[int] = []  # of the variables of the step that is traced

    def build(self, variables):
        if not self.built:
            only_first = {"dtype": "float32", "aggregation": "only_first_replica"}
            self.largest_gradient = self.add_variable((2,), "zeros", name="largest_gradient", **only_first)
            self.rate_scale = self.add_variable((), "ones", name="rate_scale", **only_first)
            if self.dynamic_loss_scale:
                first = keras.initializers.Constant(FIRST_LOSS_SCALE)
                self.loss_scale = self.add_variable((), first, name="loss_scale", **only_first)
                self.finite_steps = self.add_variable((), "zeros", name="finite_steps", **only_first)
        super().build(variables)

    @property
    def effective_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.learning_rate.numpy()) * float(self.rate_scale.numpy())

    def largest(self) -> tuple[float, str]:
        """The norm of the largest gradient of the last step and the path of its variable."""
        norm, index = self.largest_gradient.numpy()
        return float(norm), self._trainable_variables[int(index)].path

    def multiply_rate(self, variables, multiple: float) -> None:
        """The rate of `variables`, with which it was built, is a multiple of that of the others; not in `lookahead`."""
        if multiple != 1.0:
            self._rate_multiples |= {self._get_variable_index(variable): multiple for variable in variables}

    def scaled(self, learning_rate, dtype, variable=None) -> tf.Tensor:
        """The rate that a step uses (for `variable`)."""
        rate = learning_rate * tf.convert_to_tensor(self.rate_scale)
        if variable is not None and self._rate_multiples:
            rate *= self._rate_multiples.get(self._get_variable_index(variable), 1.0)
        return tf.cast(rate, dtype)

    def apply(self, grads, trainable_variables=None):
        variables = trainable_variables if trainable_variables is not None and self.built else ()
        self._numbers = [self._get_variable_index(variable) for variable in variables]
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            grads = context.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        if self.dynamic_loss_scale:
            grads = [g / tf.cast(self.loss_scale.value, g.dtype) for g in grads]
            self._adapt_loss_scale(tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in grads]))
        super().apply(grads, trainable_variables)

    def scale_loss(self, loss):
        """What to differentiate instead of `loss`."""
        return loss * tf.cast(self.loss_scale.value, loss.dtype) if self.dynamic_loss_scale else loss

    def _adapt_loss_scale(self, finite) -> None:
        """A count of 0 afterwards says that this step's gradients are not finite."""
        steps, scale = self.finite_steps.value + 1.0, self.loss_scale.value
        grows = steps > STEPS_TO_GROW
        super().assign(self.finite_steps, tf.where(finite, tf.where(grows, 1.0, steps), 0.0))
        grown = tf.where(grows, 2.0 * scale, scale)
        super().assign(self.loss_scale, tf.where(finite, grown, tf.maximum(0.5 * scale, 1.0)))

    def assign(self, variable, value):
        super().assign(variable, self._if_finite(value, variable))

    def assign_add(self, variable, value):
        super().assign_add(variable, self._if_finite(value, 0.0))

    def assign_sub(self, variable, value):
        super().assign_sub(variable, self._if_finite(value, 0.0))

    def _if_finite(self, value, otherwise):
        """`value`, or `otherwise` in a step that must change nothing."""
        if not self.dynamic_loss_scale:
            return value
        return tf.where(self.finite_steps.value > 0.0, value, tf.cast(otherwise, value.dtype))

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # they are summed already

    def _clip_gradients(self, grads):
        """Keras' global clipping, whose norms also say which gradient is the largest."""
        norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(tf.cast(g, tf.float32)) for g in grads]))
        index = tf.argmax(tf.where(tf.math.is_finite(norms), norms, norms.dtype.max))
        number = tf.gather(tf.constant(self._numbers or list(range(len(grads))), tf.float32), index)
        super().assign(self.largest_gradient, tf.stack([tf.gather(norms, index), number]))
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        norm = tf.norm(norms)
        scale = self.global_clipnorm / tf.maximum(norm, self.global_clipnorm)
        return [g * tf.cast(scale, g.dtype) for g in grads]

    def get_config(self):
        return super().get_config() | {"dynamic_loss_scale": self.dynamic_loss_scale}


@keras.saving.register_keras_serializable("dartsminus_tf")
class SGD(GlobalGradients, keras.optimizers.SGD):
    """v <- momentum * v + (clip(g) + l2 * w);  w <- w - rate * v.

    With Nesterov momentum: w <- w - rate * (clip(g) + l2 * w + momentum * v).

    Args:
        l2: weight of the L2 term in the gradient; the others are Keras'.
    """

    def __init__(self, learning_rate=0.025, momentum=0.0, nesterov=False, l2=0.0, name="sgd", **kwargs):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        rate = self.scaled(learning_rate, variable.dtype, variable)
        gradient = tf.cast(gradient, variable.dtype) + self.l2 * tf.convert_to_tensor(variable)
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            new = self.momentum * velocity.value + gradient
            self.assign(velocity, new)
            gradient = gradient + self.momentum * new if self.nesterov else new
        self.assign_sub(variable, rate * gradient)

    def lookahead(self, gradients, variables) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Where one step without clipping would take `variables` (they stay), and -d(value) / d(gradient), a scalar."""
        rate = self.scaled(self.learning_rate, self.learning_rate.dtype)
        factor = rate * (1.0 + self.momentum) if self.nesterov else rate
        values = []
        for gradient, variable in zip(gradients, variables, strict=True):
            value = tf.convert_to_tensor(variable)
            value_step = factor * (gradient + self.l2 * value)
            if self.momentum:
                velocity = self.momentums[self._get_variable_index(variable)].value
                carried = self.momentum**2 if self.nesterov else self.momentum
                value_step += rate * carried * velocity
            values.append(value - value_step)
        return values, factor

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("dartsminus_tf")
class Adam(GlobalGradients, keras.optimizers.Adam):
    """g <- g + l2 * w;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - rate * m' / (sqrt(v') + epsilon)

    with m' = m / (1 - b1^t) and v' = v / (1 - b2^t) at step t = 1, 2, ...
    """

    def __init__(self, learning_rate=3e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=0.0, name="adam", **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        rate, step = self.scaled(learning_rate, dtype, variable), tf.cast(self.iterations.value + 1, dtype)
        gradient = tf.cast(gradient, dtype) + self.l2 * tf.convert_to_tensor(variable)
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        m = first.value * self.beta_1 + gradient * (1 - self.beta_1)
        v = second.value * self.beta_2 + tf.square(gradient) * (1 - self.beta_2)
        self.assign(first, m)
        self.assign(second, v)
        m, v = m / (1 - tf.pow(self.beta_1, step)), v / (1 - tf.pow(self.beta_2, step))
        self.assign_sub(variable, rate * m / (tf.sqrt(v) + self.epsilon))

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("dartsminus_tf")
class RMSprop(GlobalGradients, keras.optimizers.RMSprop):
    """g <- clip(g) + l2 * w;  v <- rho v + (1-rho) g^2;  m <- momentum m + rate * g / sqrt(v + epsilon);  w <- w - m.

    Keras' own rule with L2 in the gradient. Other than in `SGD`, the rate is inside the momentum, as in TensorFlow's
    MobileNets.
    """

    def __init__(self, learning_rate=0.01, rho=0.9, momentum=0.0, epsilon=1e-3, l2=0.0, name="rmsprop", **kwargs):
        super().__init__(learning_rate, rho=rho, momentum=momentum, epsilon=epsilon, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        gradient = tf.cast(gradient, variable.dtype) + self.l2 * tf.convert_to_tensor(variable)
        super().update_step(gradient, variable, self.scaled(learning_rate, variable.dtype, variable))

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


def build_optimizer(config: WeightsConfig, precision: Precision = "float32") -> keras.optimizers.Optimizer:
    """The weights' optimizer that `config` describes, for a model of `precision`."""
    shared = {"momentum": config.momentum, "l2": config.l2, "global_clipnorm": config.clip_norm}
    shared["dynamic_loss_scale"] = needs_loss_scale(precision)
    if config.optimizer == "rmsprop":
        return RMSprop(config.learning_rate, rho=config.rho, epsilon=config.epsilon, **shared)
    return SGD(config.learning_rate, nesterov=config.nesterov, **shared)
