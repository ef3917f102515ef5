"""NAS-Bench-201 (Dong and Yang, ICLR 2020): a space of 15,625 cells whose true accuracies are known."""
