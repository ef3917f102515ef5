"""Images a second of the ImageNet input pipeline, beside a plain tf.data pipeline that does the same.

    python benchmarks/input_pipeline.py                       # JPEGs cut from scikit-learn's two sample photographs
    python benchmarks/input_pipeline.py --folder=DIR          # class folders of your own

Both read files, shuffle, take a random-resized crop to 224 pixels, flip, normalise and batch. The plain pipeline
decodes the whole JPEG and then crops, as tutorials do; its second form fuses decoding and cropping by hand. Printed are
images a second and the processor's milliseconds an image, which other programs on the machine disturb less.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from absl import app, flags

from dartsminus_tf.runtime import configure

flags.DEFINE_string("folder", None, "Class folders of JPEGs.")
flags.DEFINE_integer("image_size", 224, "Pixels.")
flags.DEFINE_integer("batch_size", 64, "Images a batch.")
flags.DEFINE_integer("batches", 12, "Batches that are timed, after two that are not.")
flags.DEFINE_integer("repeats", 3, "Rounds; the pipelines take turns, and the median counts.")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_sample_photographs(root: Path, per_class: int = 600, size=(375, 500)) -> Path:
    """Windows of ImageNet's usual size, cut at random places from two photographs, as JPEGs of quality 90."""
    import numpy as np
    import tensorflow as tf
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    for image, name in zip(load_sample_images().images, ("china", "flower"), strict=True):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(per_class):
            top, left = (rng.integers(0, big - small + 1) for big, small in zip(image.shape, size, strict=False))
            window = image[top : top + size[0], left : left + size[1]]
            (folder / f"{number:04d}.jpg").write_bytes(tf.io.encode_jpeg(window, quality=90).numpy())
    return root


def plain_pipeline(folder: str, size: int, batch_size: int, fused: bool):
    """What one would write with tf.data alone."""
    import tensorflow as tf

    files = sorted(str(path) for path in Path(folder).glob("*/*.jpg"))
    classes = sorted({Path(file).parent.name for file in files})
    labels = [classes.index(Path(file).parent.name) for file in files]

    def load(path, label):
        encoded = tf.io.read_file(path)
        image = None if fused else tf.io.decode_jpeg(encoded, channels=3)
        shape = tf.io.extract_jpeg_shape(encoded) if fused else tf.shape(image)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            shape, tf.zeros([1, 0, 4]), area_range=(0.08, 1.0), use_image_if_no_bounding_boxes=True
        )
        if fused:
            image = tf.image.decode_and_crop_jpeg(encoded, tf.concat([begin[:2], extent[:2]], 0), channels=3)
        else:
            image = tf.slice(image, begin, extent)
        image = tf.image.random_flip_left_right(tf.image.resize(image, [size, size]))
        return (image / 255.0 - MEAN) / STD, label

    data = tf.data.Dataset.from_tensor_slices((files, labels)).shuffle(10_000).repeat()
    return data.map(load, tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def our_pipeline(folder: str, size: int, batch_size: int, **augment):
    """The package's pipeline on the same files."""
    from dartsminus_tf.config import AugmentConfig, DataConfig
    from dartsminus_tf.data.pipeline import ImageData

    recipe = AugmentConfig(random_resized_crop=0.08, crop_padding=0, **augment)
    config = DataConfig(name="folder", data_dir=folder, image_size=size, batch_size=batch_size, augment=recipe)
    return ImageData(config, seed=0).train().from_step(0)


def measure(data, batch_size: int, batches: int) -> tuple[float, float]:
    """(images a second, processor milliseconds an image) over `batches` batches, after two."""
    iterator = iter(data)
    for _ in range(2):
        next(iterator)
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    images = batches * batch_size
    return images / (time.perf_counter() - start), 1e3 * (time.process_time() - processor) / images


def main(_) -> None:
    """Measure all pipelines in turn and print one JSON line each, with the medians."""
    configure()
    values = flags.FLAGS
    with tempfile.TemporaryDirectory() as directory:
        folder = values.folder or str(write_sample_photographs(Path(directory)))
        size, batch = values.image_size, values.batch_size
        pipelines = {
            "plain": lambda: plain_pipeline(folder, size, batch, fused=False),
            "plain_fused": lambda: plain_pipeline(folder, size, batch, fused=True),
            "ours": lambda: our_pipeline(folder, size, batch),
            "ours_color_jitter": lambda: our_pipeline(folder, size, batch, color_jitter=(0.4, 0.4, 0.4, 0.2)),
            "ours_autoaugment": lambda: our_pipeline(folder, size, batch, policy="autoaugment"),
            "ours_randaugment": lambda: our_pipeline(folder, size, batch, policy="randaugment"),
        }
        found = {name: [] for name in pipelines}
        for _ in range(values.repeats):
            for name, make in pipelines.items():
                found[name].append(measure(make(), batch, values.batches))
    for name, rates in found.items():
        rate, processor = (statistics.median(column) for column in zip(*rates, strict=True))
        print(json.dumps({"pipeline": name, "images_a_second": round(rate, 1), "cpu_ms_an_image": round(processor, 3)}))


if __name__ == "__main__":
    app.run(main)
