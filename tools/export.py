"""See `dartsminus_tf/cli/export.py`."""

from dartsminus_tf.cli.export import run

if __name__ == "__main__":
    run()
