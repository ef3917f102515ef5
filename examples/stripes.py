"""A toy data source, `data.name=stripes`: horizontal and vertical stripes of random width."""

from dartsminus_tf.data.sources import register_source

SIDE, NUM_TRAIN, NUM_TEST = 32, 256, 64


def stripes_source(config):
    """128 pictures of each class to train on, 32 to test; TensorFlow is imported when they are drawn, not before."""
    import numpy as np
    import tensorflow as tf

    from dartsminus_tf.data.source import Source, Split

    def split(num_examples, seed):
        random, labels = np.random.default_rng(seed), np.arange(num_examples, dtype=np.int32) % 2
        bright = np.arange(SIDE) // random.integers(2, 6, (num_examples, 1)) % 2
        pictures = np.tile(bright[:, :, None], [1, 1, SIDE]) * 128 + random.integers(0, 128, (num_examples, SIDE, SIDE))
        pictures = np.where(labels[:, None, None] == 1, pictures.swapaxes(1, 2), pictures).astype(np.uint8)
        return Split(num_examples, lambda: tf.data.Dataset.from_tensor_slices((pictures[..., None], labels)))

    return Source("stripes", split(NUM_TRAIN, 0), split(NUM_TEST, 1), ("horizontal", "vertical"))


register_source("stripes", stripes_source)
