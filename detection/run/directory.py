"""What a detector's run directory is."""

from dartsminus_tf.foundation.run import RunKind

# A run may be made longer, or go on with other devices; anything else is another run.
DETECTOR = RunKind(
    file="params.yaml",
    free=("trainer.train_steps", "runtime.distribution_strategy", "runtime.num_gpus"),
    bound=(),
    seed="task.seed",
    packages=("dartsminus_tf", "tensorflow", "tf_keras", "tf-models-official", "numpy", "pycocotools"),
)
