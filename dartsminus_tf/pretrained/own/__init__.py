"""Networks with weights that runs of this package left: trainings, searches, exports."""
