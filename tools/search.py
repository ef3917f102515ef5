"""See `dartsminus_tf/cli/search.py`."""

from dartsminus_tf.cli.search import run

if __name__ == "__main__":
    run()
