"""What derived networks of all families have in common: what training, export and detection ask of a network."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.genotype import Genotype


class Taken(NamedTuple):
    """What became of a network's tensors at its start: how many were taken from another, and the places of the rest."""

    taken: int
    left: tuple[str, ...]

    def line(self, text: str) -> str:
        """The one line that a person sees, of the source called `text`."""
        shown = ", ".join(self.left[:6]) + (", ..." if len(self.left) > 6 else "")
        rest = f"{len(self.left)} are new: {shown}" if self.left else "none is new"
        return f"init {text}: {self.taken} tensors taken, {rest}"


def check_fixed(family: str, **options: tuple) -> None:
    """Refuse options that networks of `family` do not have: {name: (value, the only value)}.

    Raises:
        UsageError: naming the first that has another value.
    """
    for name, (value, only) in options.items():
        if value != only:
            raise UsageError(f"In networks of {family} {name} is always {only!r}. Received: {value!r}")


def require_finite(model: keras.Model, file: str | Path) -> None:
    """Refuse a built model that holds NaN or infinity.

    Args:
        model: any.
        file: where its weights come from or are about to go, for the message.

    Raises:
        UsageError: naming the first variable.
    """
    for variable in model.variables:
        if not np.isfinite(np.asarray(variable.numpy(), np.float64)).all():
            raise UsageError(
                f"Weights must be finite numbers, and those of {variable.path} are not: the training has diverged, or "
                f"the file is damaged; train again. Received: {file}"
            )


class DerivedNetwork(keras.Model):
    """Base of every derived network: `model(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    Attributes:
        family: the family's name.
        genotype, num_classes: what it was made from.
        image_size: (height, width) that it was built for; None before.
        auxiliary: whether `model(x, training=True)` returns (logits, auxiliary logits).
        auxiliary_head: the layer that makes them; None without.
        drop_path_rate: scalar variable in [0, 1), used in training only; None without drop path.
        preprocessing: {"mean", "std"} of pixels divided by 255 that its weights were trained for; None where unknown.
        published: {"name", "source", "licence", "data"} of published weights, where it has all of them; or None.
    """

    family = ""
    auxiliary = False
    auxiliary_head = None
    drop_path_rate = None
    preprocessing = None
    published = None

    def __init__(self, genotype: Genotype, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        if num_classes < 1:
            raise UsageError(f"num_classes must be at least 1. Received: {num_classes}")
        self.genotype, self.num_classes, self.image_size = genotype, num_classes, None

    def features(self, x: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """The last output at each stride: {"level": [N, H / 2**level, W / 2**level, C]}, without drop path."""
        raise NotImplementedError

    @property
    def levels(self) -> dict[str, dict[str, int]]:
        """{"level": {"channels": ..., "stride": 2**level}} of `features`."""
        raise NotImplementedError

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        """The variables that `features` uses: all but those of the classifier and the auxiliary head."""
        raise NotImplementedError

    @property
    def classifier_variables(self) -> list[keras.Variable]:
        """The variables of the classifier and the auxiliary head: what is new where a network starts from another.

        By default all that `features` does not use.
        """
        kept = {id(variable) for variable in (*self.backbone_variables, self.drop_path_rate)}
        return [variable for variable in self.variables if id(variable) not in kept]

    def call_with_still_backbone(self, x: tf.Tensor):
        """What `model(x, training=True)` returns, in a step that trains `classifier_variables` alone: all else is
        computed as in inference, statistics included."""
        return self(x, training=False)

    def build_drop_path(self, rate: float) -> None:
        """Create `drop_path_rate`, started at `rate`; 0 leaves drop path out."""
        if rate:
            self.drop_path_rate = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(rate),
                trainable=False,
                name="drop_path_rate",
                dtype="float32",
                autocast=False,
            )

    @classmethod
    def from_config(cls, config):
        """The network whose `get_config` gave `config`."""
        return cls(Genotype.from_dict(config["genotype"]), **{key: config[key] for key in config if key != "genotype"})
