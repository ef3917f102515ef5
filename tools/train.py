"""See `dartsminus_tf/cli/train.py`."""

from dartsminus_tf.cli.train import run

if __name__ == "__main__":
    run()
