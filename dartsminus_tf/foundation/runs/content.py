"""What a run reads: its content is the run's own, the place where it lies may change from call to call."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import stored_json

CONTENT = "data.json"
_HEX = 16


def described(number: int, what: str, content: Any) -> str:
    """ "1,797 pictures, 0123456789abcdef": the number, and the beginning of the SHA-256 of `content`, plain data."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()
    return f"{number:,} {what}, {digest[:_HEX]}"


def require_same_content(run: Path, content: Mapping[str, str]) -> None:
    """Note what a run reads when it begins; refuse anything else later. To be called with the run's lock.

    Args:
        run: the directory. Runs of before there was `data.json` take what they read now.
        content: {what: `described`}; what the file does not name is added.

    Raises:
        UsageError: naming what has changed.
    """
    file = run / CONTENT
    before = stored_json(file) if file.exists() else {}
    for key, now in content.items():
        if before.get(key, now) != now:
            raise UsageError(
                f"The run began with other data ({key}: {before[key]!r} -> {now!r}): bring them back, or choose "
                f"another --model_dir. Received: {run}"
            )
    if not content.keys() <= before.keys():
        write_json(file, dict(content) | before)
