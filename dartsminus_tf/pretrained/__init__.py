"""Networks with weights: what a training, a search or a teacher can start from, described and read."""
