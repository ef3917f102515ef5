"""What a config may say of a teacher: the same in searches and trainings."""

from typing import Annotated

from pydantic import AfterValidator, Field

from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.pretrained.described import source_text

SourceText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(source_text)]


class DistillConfig(Strict):
    """Distillation (Hinton et al., 2015); see `loop.distill`.

    Args:
        teacher: a network with weights for the same classes: see `pretrained.described.KINDS`.
        weight: share of the teacher's part in the loss.
        temperature: that both networks' logits are divided by.
    """

    teacher: SourceText
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0, le=1000)] = 2.0
