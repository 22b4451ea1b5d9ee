"""`python -m stablekv doctor [--json] [--with MODULE]`: what is installed, and what is wrong."""

from __future__ import annotations

import argparse
import sys

from stablekv.doctor import report, text


def main(arguments: list[str]) -> int:
    """The exit code: 0 when nothing is wrong, 1 when something is, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m stablekv")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor", help="says what is installed, what fits and what does not; works without torch"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument(
        "--with",
        action="append",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="import MODULE before the library, to see whether both can live in one process",
    )
    options = parser.parse_args(arguments)

    found = report.make(options.modules)
    if sys.stdout is not None:  # as it is where the shell has closed it
        sys.stdout.reconfigure(errors="backslashreplace")  # paths may have what the terminal lacks
    print(text.as_json(found) if options.json else text.as_text(found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
