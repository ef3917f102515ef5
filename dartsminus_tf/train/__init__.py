"""Training of derived networks: the losses with the auxiliary head, the drop path schedule, the runner."""
