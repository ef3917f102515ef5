"""See `dartsminus_tf/cli/quickstart.py`."""

from dartsminus_tf.cli.quickstart import run

if __name__ == "__main__":
    run()
