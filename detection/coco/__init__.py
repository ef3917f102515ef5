"""COCO's format and score: annotations, boxes, repairs, metrics. No TensorFlow."""
