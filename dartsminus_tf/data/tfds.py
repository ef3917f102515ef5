"""Any image-classification set of TensorFlow Datasets, by name. Nothing is downloaded unless asked for."""

import tensorflow_datasets as tfds

from dartsminus_tf.config import DataConfig
from dartsminus_tf.data.source import Source, Split
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.content import described

TEST_SPLITS = ("test", "validation")


def tfds_source(config: DataConfig) -> Source:
    """The set `config.name` with its "train" split, and its "test" (else "validation") split as test.

    A "validation" split beside a "test" split is what a training validates on, where `validates_on` is "auto".

    Raises:
        UsageError: for a name that TFDS does not know, a set that is not prepared, or not images and labels.
    """
    name, data_dir = config.name, config.data_dir
    builder = _builder(name, data_dir)
    if config.download:
        builder.download_and_prepare()
    if not builder.info.splits or not builder.data_path.exists():
        raise UsageError(
            f"TFDS set '{name}' is not prepared in {builder.data_dir}: pass data.download=true, or prepare it with "
            f"`tfds build {name} --data_dir={data_dir or '~/tensorflow_datasets'}`, or point data.data_dir at it."
        )
    supervised = builder.info.supervised_keys
    if not supervised or not hasattr(builder.info.features[supervised[1]], "num_classes"):
        raise UsageError(f"Data set must be images with class labels. Received: {name!r}")
    test_split = next((split for split in TEST_SPLITS if split in builder.info.splits), None)
    if "train" not in builder.info.splits or test_split is None:
        raise UsageError(f"Data set must have a train and a test or validation split. Received: {name!r}")
    label = builder.info.features[supervised[1]]
    used = {"train": "train", "test": test_split}
    if config.validates_on == "auto" and test_split != "validation" and "validation" in builder.info.splits:
        used["validation"] = "validation"
    content = {key: _content(builder, split) for key, split in used.items()}
    splits = {key: _split(builder, split) for key, split in used.items()}
    return Source(name, class_names=tuple(label.names), content=content, **splits)


def _content(builder, split: str) -> str:
    """The set with its version, and the examples and bytes of the split's files."""
    info = builder.info.splits[split]
    about = [builder.info.full_name, split, list(info.shard_lengths or []), int(info.num_bytes or 0)]
    return described(info.num_examples, "examples", about)


def _builder(name: str, data_dir: str | None):
    # Only the name before the first "/" must be a registered set: "name/config:version" is TFDS's own form.
    if not data_dir and name.split("/")[0].split(":")[0] not in tfds.list_builders(with_community_datasets=False):
        raise UsageError(f"Unknown data set: digits, folder, or a TFDS name such as cifar10. Received: {name!r}")
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, FileNotFoundError) as error:
        where = f" in {data_dir}" if data_dir else ""
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"Unknown data set{where}: digits, folder, or a TFDS name such as cifar10 ({reason}). Received: {name!r}"
        ) from None


def _split(builder, split: str) -> Split:
    image, label = builder.info.supervised_keys

    def stream():
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        decoders = {image: tfds.decode.SkipDecoding()}
        data = builder.as_dataset(split=split, shuffle_files=False, read_config=config, decoders=decoders)
        return data.map(lambda example: (example[image], example[label]))

    return Split(builder.info.splits[split].num_examples, stream)
