"""A process that has imported TensorFlow, and forks one command after the other: a start then takes no ten seconds.

    zygote.py module ...

Modules are imported first. Then, for every line of JSON on standard input, {"argv": [...], "cwd": folder, "log": file,
"limit": bytes that a file may have, or null}, two lines go to standard output: the number of the process that runs
`argv[0]` (a module with a function `run`), and once it has ended its exit code.
"""

import json
import os
import resource
import sys
import traceback
from importlib import import_module
from typing import NoReturn


def serve(modules: list[str]) -> None:
    """Until standard input ends."""
    for name in modules:
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            work(**asked)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def work(argv: list[str], cwd: str, log: str, limit: int | None) -> NoReturn:
    """Run a command in this process, which ends with it."""
    null, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, target in ((null, 0), (file, 1), (file, 2)):
        os.dup2(number, target)
    os.chdir(cwd)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    sys.argv = [f"tools/{argv[0].rpartition('.')[2]}.py", *argv[1:]]
    code = 1
    try:
        code = import_module(argv[0]).run() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
