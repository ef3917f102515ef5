"""What surrounds the cells in NAS-Bench-201, in the supernet as in derived networks.

Stem (3x3 convolution to C, batch norm); N cells of width C; residual block to 2C; N cells; residual block to 4C; N
cells; batch norm, ReLU, global average pool, linear.
"""

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops.layers import Classifier, Conv, ConvNorm
from dartsminus_tf.ops.norm import BatchNorm

STAGES = 3
SIZE_MULTIPLE = 2 ** (STAGES - 1)


class ResidualBlock(keras.layers.Layer):
    """Halves the image and doubles the width: (ReLU, 3x3 convolution, batch norm) twice, the first of stride 2,
    plus a 2x2 average pool and a 1x1 convolution of the input."""

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv_a = ConvNorm(channels, 3, stride=2, relu="before")
        self.conv_b = ConvNorm(channels, 3, relu="before")
        self.shortcut = Conv(channels)

    def build(self, input_shape):
        self.conv_a.build(input_shape)
        self.conv_b.build((None, None, None, self.channels))
        self.shortcut.build(input_shape)

    def call(self, x, training=False):
        y = self.conv_b(self.conv_a(x, training=training), training=training)
        return y + self.shortcut(tf.nn.avg_pool2d(x, 2, 2, "VALID"))


class Head(keras.layers.Layer):
    """Batch norm, ReLU, global average pool, linear."""

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.norm, self.classifier = BatchNorm(), Classifier(num_classes)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.classifier.build(input_shape)

    def call(self, x, training=False):
        return self.classifier(tf.nn.relu(self.norm(x, training=training)))


class Skeleton(keras.layers.Layer):
    """The stem, the places of the cells, the residual blocks and the head.

    Args:
        make_cell: channels -> a cell, a layer that keeps width and size.
        channels: C, at least 1.
        layers: N, the cells of a stage, at least 1.
        num_classes: of the data set.

    Attributes:
        blocks: cells and residual blocks, in order.
        stages: the indices in `blocks` of the last block of every stage.
    """

    def __init__(self, make_cell, channels: int, layers: int, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("channels", channels), ("layers", layers), ("num_classes", num_classes)):
            if value < 1:
                raise UsageError(f"{name} must be at least 1. Received: {value}")
        self.channels, self.num_classes = channels, num_classes
        self.stem = ConvNorm(channels, 3)
        self.blocks, self.stages = [], []
        for stage in range(STAGES):
            if stage:
                self.blocks.append(ResidualBlock(channels << stage))
            self.blocks += [make_cell(channels << stage) for _ in range(layers)]
            self.stages.append(len(self.blocks) - 1)
        self.head = Head(num_classes)

    def build(self, input_shape):
        for axis, size in (("height", input_shape[1]), ("width", input_shape[2])):
            if size is not None and (size % SIZE_MULTIPLE or size <= 0):
                raise UsageError(f"The image {axis} must be a multiple of {SIZE_MULTIPLE}. Received: {size}")
        self.stem.build(input_shape)
        shape = (None, None, None, self.channels)
        for block in self.blocks:
            block.build(shape)
            if isinstance(block, ResidualBlock):
                shape = (None, None, None, block.channels)
        self.head.build(shape)

    def outputs(self, x, on_cell, training=False) -> list[tf.Tensor]:
        """The outputs of all blocks for images [N, H, W, 3]; `on_cell(cell, x)` applies a cell."""
        x, outputs = self.stem(x, training=training), []
        for block in self.blocks:
            x = block(x, training=training) if isinstance(block, ResidualBlock) else on_cell(block, x)
            outputs.append(x)
        return outputs
