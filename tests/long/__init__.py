"""Attacks on whole commands: hours, with a seed. `make test-long`; the options are in `conftest.py`."""
