"""The settings of analyses that run no search."""

from typing import Annotated, Literal

from pydantic import Field

from dartsminus_tf.config import DataConfig
from dartsminus_tf.foundation.config.typed import Positive
from dartsminus_tf.report.request import AnalysisSettings


class HessianSettings(AnalysisSettings):
    """Spectrum of alpha's Hessian.

    Args:
        batches: validation batches; the spectrum of each is computed.
        exact_limit: alphas of more entries than this get their largest eigenvalue by Lanczos alone.
    """

    batches: Annotated[int, Field(ge=1, le=1000)] = 1
    exact_limit: Annotated[int, Field(ge=0, le=5000)] = 256


class LandscapeSettings(AnalysisSettings):
    """Landscape over two directions in alpha.

    Args:
        points: of the grid on each axis; 51 in the paper.
        extent: the grid reaches from -extent to extent, in lengths of alpha.
        batches: validation batches that a point is evaluated on.
        seed: of the directions.
    """

    points: Annotated[int, Field(ge=2, le=201)] = 11
    extent: Annotated[float, Field(gt=0, le=100)] = 1.0
    batches: Annotated[int, Field(ge=1, le=10_000)] = 4
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class SkipAdvantageSettings(AnalysisSettings):
    """The ResNet whose skips carry learnable coefficients.

    Args:
        coefficients: "free": y = a * skip(x) + b * conv(x), a from `initial`, b from 1; "softmax": (a, b) is the
            softmax of two numbers, a from `initial`.
        initial: the skip coefficients to start from.
        channels, blocks: width of the first of three stages, residual blocks a stage.
        epochs, steps_per_epoch, learning_rate: SGD with momentum 0.9, the rate falling to 0 by a cosine.
    """

    data: DataConfig = DataConfig()
    coefficients: Literal["free", "softmax"] = "free"
    initial: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1, max_length=8)] = (
        0.0,
        0.5,
        1.0,
    )
    channels: Annotated[int, Field(ge=1, le=1024)] = 16
    blocks: Annotated[int, Field(ge=1, le=100)] = 3
    epochs: Positive = 20
    steps_per_epoch: Positive | None = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
