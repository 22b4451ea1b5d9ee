"""Whether this process is `python -m stablekv ...`, or the child that its doctor starts.

Python imports a package before it runs its `__main__`. The command must also run where the library
does not load or torch is missing, to say why, so the package then imports neither.
"""

from __future__ import annotations

import re
import sys


def is_running() -> bool:
    """True while Python imports the package to run one of both, and at no other time.

    Until the module is found, sys.argv is ["-m", arguments...]; sys.orig_argv has the module before
    the arguments, and an option may be joined to it: `-mstablekv`.
    """
    arguments = getattr(sys, "argv", [])
    if arguments[:1] != ["-m"] or len(sys.orig_argv) < len(arguments):
        return False
    module = sys.orig_argv[-len(arguments)]
    return re.fullmatch(r"(-\w*m)?stablekv(\.__main__|\.doctor\.probe)?", module) is not None
