"""One image and its boxes as a record that Model Garden's `TfExampleDecoder` reads."""

import io
from pathlib import Path

from PIL import Image

from dartsminus_tf.foundation.output import shown
from dartsminus_tf.foundation.pictures import reading as pictures
from detection.coco.pictures import is_upright

_DECODABLE = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png"}  # what the records hold; anything else is re-encoded as PNG


def make_example(image: dict, image_dir: Path, annotations: list[dict], names: dict[int, str]):
    """A `tf.train.Example`.

    Boxes are stored as fractions of the image's sides, labels are category ids, `image/source_id` the image
    id as a decimal string (the evaluator turns it back into a number).
    """
    import tensorflow as tf
    from official.vision.data import tfrecord_lib

    width, height = image["width"], image["height"]
    encoded, encoding = encode(image_dir / image["file_name"], (width, height))
    features = tfrecord_lib.image_info_to_feature_dict(
        height, width, shown(image["file_name"]), image["id"], encoded, encoding
    )
    boxes = [a["bbox"] for a in annotations]
    columns = {
        "bbox/xmin": ([x / width for x, _, _, _ in boxes], "float_list"),
        "bbox/xmax": ([min((x + w) / width, 1.0) for x, _, w, _ in boxes], "float_list"),
        "bbox/ymin": ([y / height for _, y, _, _ in boxes], "float_list"),
        "bbox/ymax": ([min((y + h) / height, 1.0) for _, y, _, h in boxes], "float_list"),
        "class/text": ([names[a["category_id"]].encode("utf8") for a in annotations], "bytes_list"),
        "class/label": ([a["category_id"] for a in annotations], "int64_list"),
        "is_crowd": ([a["iscrowd"] for a in annotations], "int64_list"),
        "area": ([a["area"] for a in annotations], "float_list"),
    }
    for name, (values, kind) in columns.items():
        features[f"image/object/{name}"] = tfrecord_lib.convert_to_feature(values, kind)
    return tf.train.Example(features=tf.train.Features(feature=features))


def encode(path: Path, size: tuple[int, int]) -> tuple[bytes, str]:
    """The file as it is where TensorFlow decodes it right and to `size` (width, height), else its pixels as PNG.

    Pixels are turned as EXIF data ask unless `size` is that of the stored ones alone (`coco.pictures.is_upright`).
    """
    look = pictures.look(path)
    upright = is_upright(look, size)
    if look.is_plain or not upright:
        content, encoding = path.read_bytes(), _DECODABLE.get(look.format)
        if encoding and _tensorflow_size(content) == size:
            return content, encoding
    buffer = io.BytesIO()
    Image.fromarray(pictures.read(path, upright)).save(buffer, format="PNG")
    return buffer.getvalue(), "png"


def _tensorflow_size(content: bytes) -> tuple[int, int] | None:
    import tensorflow as tf

    try:
        with tf.device("cpu:0"):
            height, width, _ = tf.io.decode_image(content, channels=3).shape
    except (tf.errors.InvalidArgumentError, ValueError):
        return None
    return int(width), int(height)


def is_readable(file: str) -> bool:
    """Whether a file is a TFRecord file whose first record has an image and boxes."""
    import tensorflow as tf
    from official.vision.dataloaders import tf_example_decoder

    try:
        for record in tf.data.TFRecordDataset([file]).take(1):
            tf_example_decoder.TfExampleDecoder().decode(record)
            return True
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        pass
    return False


def boxes_by_image(coco: dict) -> dict[int, list[dict]]:
    """Annotations by image id."""
    boxes: dict[int, list[dict]] = {}
    for annotation in coco["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation)
    return boxes
