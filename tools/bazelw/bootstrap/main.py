"""Makes a private Bazel: main.py --version 7.7.1 --prefix FOLDER."""

import signal
import sys

# Until the handlers are there, Ctrl-C ends us silently and not with a stack trace.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from command import run_command

if __name__ == "__main__":
    sys.exit(run_command())
