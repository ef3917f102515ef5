"""The cell spaces of DARTS (S0) and RobustDARTS (S1-S4)."""
