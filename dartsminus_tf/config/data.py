"""What a config may say of images and labels."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dartsminus_tf.foundation.config.paths import PathText
from dartsminus_tf.foundation.config.typed import OpenFraction, Positive, Rate, Strict

BEFORE = "test"  # the validation of trainings that began when there was no other: nothing is chosen by it
Validation = Literal["auto", "none", "test"] | OpenFraction


class AugmentConfig(Strict):
    """What happens to a training image.

    `crop_padding`, `flip`, `cutout` are those of CIFAR (pixels). `random_resized_crop` is ImageNet's: the least
    share of the area that a crop keeps; it replaces `crop_padding`. `color_jitter` is [brightness,
    contrast, saturation, hue]. `policy` is AutoAugment's for ImageNet, or RandAugment with `randaugment_operations` at
    `randaugment_level` (0 to 10). `mixup` is alpha of its Beta distribution; 0 is off.
    """

    crop_padding: Annotated[int, Field(ge=0, le=512)] = 4
    flip: bool = True
    cutout: Annotated[int, Field(ge=0, le=512)] = 0
    random_resized_crop: OpenFraction | None = None
    color_jitter: tuple[Rate, Rate, Rate, Annotated[float, Field(ge=0, le=0.5)]] | None = None
    policy: Literal["autoaugment", "randaugment"] | None = None
    randaugment_operations: Annotated[int, Field(ge=1, le=10)] = 2
    randaugment_level: Annotated[float, Field(ge=0, le=10)] = 9.0
    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0


class DataConfig(Strict):
    """Images and their labels.

    Args:
        name: "digits" (embedded), "folder" (class folders under `data_dir`), or a TFDS image-classification set.
        data_dir: TFDS directory, or the image folder.
        download: let TFDS download and prepare a missing set.
        image_size: pixels; smaller and larger images are resized to this square.
        center_crop: the share of the shorter side that the square in the centre has which is evaluated (0.875 in
            ImageNet's recipes); by default the whole image, squeezed into the square.
        mean, std: of the pixels divided by 255, for each channel; by default measured on the training images.
        in_memory: keep decoded images in memory. "auto" does so up to 2 GiB, unless crops have to be cut from the
            images as they are stored.
        train_limit, test_limit: so many examples are enough; the latter also holds for a validation split of its own.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)] = "digits"
    data_dir: PathText | None = None
    download: bool = False
    image_size: Annotated[int, Field(ge=4, le=2048)] = 32
    center_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    batch_size: Positive = 64
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    in_memory: Literal["auto", True, False] = "auto"
    train_limit: Positive | None = None
    test_limit: Positive | None = None
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _check(self):
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.in_memory is True and self.center_crop is not None:
            raise ValueError("in_memory=true keeps squeezed images, so it excludes center_crop")
        if self.name == "folder" and self.data_dir is None:
            raise ValueError("data set 'folder' needs data_dir")
        return self

    @property
    def validates_on(self) -> Validation:
        """What a training validates on. A search divides its training split in halves, and needs nothing else."""
        return "none"


class TrainDataConfig(DataConfig):
    """Images and their labels for a training, which may keep some of them to validate on.

    Args:
        validation: "auto", the data set's own validation split beside its test split, or a tenth of the training split
            where there is none; a fraction of the training split; or "none". A part of the training split is the same
            for every seed, and has its share of every class. "test" is how runs go on that began before there was this
            key: new ones are refused it.
    """

    validation: Validation = "auto"

    @field_validator("validation", mode="before")
    @classmethod
    def _known(cls, value):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value in ("auto", "none", BEFORE) if isinstance(value, str) else is_number and 0 < value < 1:
            return value
        raise ValueError("Input should be auto, none, or a fraction between 0 and 1")

    @property
    def validates_on(self) -> Validation:
        return self.validation
