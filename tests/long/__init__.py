"""Attacks on whole commands: hours, with a seed. `pytest tests/long -m long -n 0`; see `conftest.py` for the options."""
