"""The command line, `mematte …`.

`shell` turns errors, warnings and interrupts into messages and exit codes, `console` prints, the
other files are the commands. Slow imports, such as torch, are inside the commands: --help is fast.
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
    # While Python shuts down, an interrupt could only print a traceback.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        from .shell import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while Python still imports
        sys.stderr.write("stopped\n")
        code = 130
    sys.exit(code)
