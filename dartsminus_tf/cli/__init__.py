"""Command lines. Plugins come before the modules here, which read all records; one that cannot be ends the command."""

import sys

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.command import refuse

try:
    import dartsminus_tf.spaces  # noqa: F401
except UsageError as error:
    sys.exit(refuse(str(error)))
