"""See `dartsminus_tf.cli.analyze`."""

from dartsminus_tf.cli.analyze import run

if __name__ == "__main__":
    run()
