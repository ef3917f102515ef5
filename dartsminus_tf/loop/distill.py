"""Distillation: a network learns what a trained one, its teacher, says of the same images (Hinton et al., 2015).

    L = (1 - weight) * CE(y, s) + weight * T^2 * KL(softmax(t / T) || softmax(s / T))

s and t are the logits of student and teacher, T is the temperature; T^2 keeps the gradients' size (section 2 there).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dartsminus_tf.config.distill import DistillConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.distribution import scale_loss
from dartsminus_tf.pretrained.described import Described, describe
from dartsminus_tf.pretrained.init import read_init
from dartsminus_tf.spaces.network import DerivedNetwork


class Distillation:
    """The loss with a teacher. It is no Keras layer: no model that has it holds the teacher's variables as its own.

    Args:
        teacher: built, with its weights; it runs in inference and is never changed.
        weight: share of the teacher's part, in (0, 1].
        temperature: above 0.
        mean, std: of the data that a step is fed, for pixels divided by 255. Where the teacher's own `preprocessing`
            differs its images are brought to it: (x * std + mean - its mean) / its std.
    """

    def __init__(
        self,
        teacher: DerivedNetwork,
        weight: float,
        temperature: float,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        self.teacher, self.weight, self.temperature = teacher, weight, temperature
        self.scale, self.offset = _affine(teacher.preprocessing, mean, std)

    def teach(self, x: tf.Tensor) -> tf.Tensor:
        """The teacher's logits [N, classes] of images [N, H, W, 3] as the data give them."""
        if self.scale is not None:
            x = x * tf.constant(self.scale, x.dtype) + tf.constant(self.offset, x.dtype)
        return tf.stop_gradient(tf.cast(self.teacher(x, training=False), tf.float32))

    def loss(self, x: tf.Tensor, hard_loss: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The loss of a batch, a scalar, from the loss on its labels as Keras' losses give it, and the logits."""
        target = tf.nn.log_softmax(self.teach(x) / self.temperature)
        student = tf.nn.log_softmax(tf.cast(logits, tf.float32) / self.temperature)
        divergence = tf.reduce_sum(tf.exp(target) * (target - student), axis=-1)
        soft = scale_loss(self.temperature**2 * tf.reduce_mean(divergence))
        return (1.0 - self.weight) * hard_loss + self.weight * tf.cast(soft, hard_loss.dtype)


def _affine(preprocessing: dict | None, mean: Sequence[float], std: Sequence[float]) -> tuple:
    """(scale, offset) from the data's images to the teacher's; (None, None) where they are the same."""
    if preprocessing is None:
        return None, None
    own_mean, own_std = (np.asarray(preprocessing[key], np.float64) for key in ("mean", "std"))
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if np.array_equal(own_mean, mean) and np.array_equal(own_std, std):
        return None, None
    return std / own_std, (mean - own_mean) / own_std


class Teacher(NamedTuple):
    """A teacher before its weights are read.

    Attributes:
        config: what is said of it.
        about: what it is.
    """

    config: DistillConfig
    about: Described

    def content(self) -> dict[str, str]:
        """What the run's `data.json` holds of it."""
        return {"teacher": self.about.digest}

    def result(self) -> dict:
        """What the run's result says of it; `seconds` are those of its own training, where they are known."""
        return {
            "distill": {
                **self.config.model_dump(mode="json"),
                "digest": self.about.digest,
                "seconds": self.about.seconds,
            }
        }

    def read(self, mean: Sequence[float], std: Sequence[float], class_names: Sequence[str]) -> Distillation:
        """The loss, for data of these classes that are normalised with `mean` and `std`.

        Raises:
            UsageError: where the teacher knows other classes, or cannot be read.
        """
        names, number = self.about.class_names, self.about.network.get("num_classes")
        network = None if number not in (None, len(class_names)) else read_init(self.config.teacher).network
        number = number if network is None else network.num_classes
        if network is None or number != len(class_names) or (names is not None and list(names) != list(class_names)):
            raise UsageError(
                f"distill.teacher must know the {len(class_names)} classes of the data, in order: fine-tune it on "
                f"them first (a training with init: {self.about.text}) and name that run. Received: a teacher of "
                f"{number} {'other ' * (number == len(class_names))}classes"
            )
        return Distillation(network, self.config.weight, self.config.temperature, mean, std)


def find_teacher(config: DistillConfig | None) -> Teacher | None:
    """The teacher that a config names; it is there and whole. Its weights are not read yet.

    Raises:
        UsageError: where it is not.
    """
    return None if config is None else Teacher(config, describe(config.teacher))
