"""The command line, `mematte …`.

`shell` decides what a user sees of errors, warnings and interrupts, `console` where it is printed;
the other files are the commands. torch and what else is slow is imported inside the commands, so
that the help comes at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys


def main() -> None:
    """Run the command line on sys.argv and exit; see `shell.run` for the exit codes."""
    # On a CPU torch caches kernels of 1024 convolutions, one for each shape, in each of two caches:
    # some 30 MB for pictures of many sizes. A few do as well. It reads this when it is loaded.
    for cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache, "64")
    # When Python shuts down all is said and done: an interrupt could only spill a traceback.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        from .shell import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while Python still imports
        sys.stderr.write("stopped\n")
        code = 130
    sys.exit(code)
