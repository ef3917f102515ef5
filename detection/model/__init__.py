"""RetinaNet on an exported backbone: config, network, task, evaluator."""
