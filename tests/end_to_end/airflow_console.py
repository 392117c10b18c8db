"""The `airflow` command line, kept running, so that a command costs milliseconds and not seconds of imports.

Reads one JSON array of arguments a line and answers each with one line `[exit status, output]`. Every command is the
real one: it is handed to the parser of the installed Airflow.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from argparse import ArgumentParser


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Airflow's log handlers print must not mix with the answers

    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    for line in sys.stdin:
        print(json.dumps(run(parser, json.loads(line))), file=answers)


def run(parser: ArgumentParser, arguments: list[str]) -> tuple[int, str]:
    status = 0
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            parsed = parser.parse_args(arguments)
            parsed.func(parsed)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code)
        except Exception:  # whatever a command raises is its answer; the console serves the next one
            status = 1
            traceback.print_exc(file=output)
    return status, output.getvalue()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: no module of ours may stand in for one of Airflow's
    serve()
