"""SGD and Adam as PyTorch defines them, which is how the method's numbers were made.

They differ from Keras' in three ways: L2 is added to the gradient (Keras' `weight_decay` is decoupled), after clipping;
momentum accumulates gradients without the learning rate, so a change of the rate acts at once; and Adam corrects the
second moment before it adds epsilon.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("dartsminus_tf")
class SGD(keras.optimizers.SGD):
    """v <- momentum * v + (clip(g) + l2 * w);  w <- w - rate * v.

    With Nesterov momentum: w <- w - rate * (clip(g) + l2 * w + momentum * v).

    Args:
        l2: weight of the L2 term in the gradient; the others are Keras'.
    """

    def __init__(self, learning_rate=0.025, momentum=0.0, nesterov=False, l2=0.0, name="sgd", **kwargs):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        rate = tf.cast(learning_rate, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype) + self.l2 * tf.convert_to_tensor(variable)
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            new = self.momentum * velocity.value + gradient
            self.assign(velocity, new)
            gradient = gradient + self.momentum * new if self.nesterov else new
        self.assign_sub(variable, rate * gradient)

    def lookahead(self, gradients, variables) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Where one step without clipping would take `variables` (they stay), and -d(value) / d(gradient), a scalar."""
        rate = tf.convert_to_tensor(self.learning_rate)
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
class Adam(keras.optimizers.Adam):
    """g <- g + l2 * w;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - rate * m' / (sqrt(v') + epsilon)

    with m' = m / (1 - b1^t) and v' = v / (1 - b2^t) at step t = 1, 2, ...
    """

    def __init__(self, learning_rate=3e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=0.0, name="adam", **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        rate, step = tf.cast(learning_rate, dtype), tf.cast(self.iterations.value + 1, dtype)
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
