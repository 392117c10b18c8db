"""``python -m airflow_provider_ossresume.local_oss``: the server for demos and for clients in other languages."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss.faults import load_rules
from airflow_provider_ossresume.local_oss.server import ACCESS_KEY_ID, ACCESS_KEY_SECRET, LocalOSS, check_host
from airflow_provider_ossresume.local_oss.service import RESTORE_SECONDS


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. The first line on stdout has the endpoint and the credentials."""
    options = _options(arguments)
    # Blocked before any thread starts, so that only sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with LocalOSS(
        options.root,
        buckets=options.bucket or ["bucket"],
        access_key_id=options.access_key_id,
        access_key_secret=options.access_key_secret,
        security_token=options.security_token,
        region=options.region,
        host=options.host,
        allow_remote=options.allow_remote,
        port=options.port,
        log=options.log,
        restore_seconds=options.restore_seconds,
        tls=options.tls,
    ) as oss:
        for rule in load_rules(options.faults) if options.faults else []:
            oss.add_rule(rule)
        print(  # noqa: T201  the caller waits for this line
            f"endpoint={oss.endpoint} region={oss.region} access_key_id={oss.access_key_id} "
            f"access_key_secret={oss.access_key_secret} security_token={oss.security_token or ''}"
            + (f" ca_file={oss.ca_file}" if oss.ca_file else ""),
            flush=True,
        )
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_ossresume.local_oss", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--root", type=Path, help="folder for buckets and objects (default: a temporary one)")
    parser.add_argument(
        "--bucket", action="append", metavar="NAME", help="bucket to create, repeatable (default: bucket)"
    )
    parser.add_argument("--access-key-id", default=ACCESS_KEY_ID)
    parser.add_argument("--access-key-secret", default=ACCESS_KEY_SECRET)
    parser.add_argument("--security-token", help="STS token that requests must carry")
    parser.add_argument("--region", default="cn-hangzhou")
    parser.add_argument(
        "--faults", type=Path, metavar="FILE.json", help="JSON file with a list of fault rules; see faults.py"
    )
    parser.add_argument("--log", type=Path, metavar="FILE.jsonl", help="file to write a JSON line to for each request")
    parser.add_argument(
        "--restore-seconds",
        type=float,
        default=RESTORE_SECONDS,
        metavar="N",
        help="how long a RestoreObject takes (default: %(default)s)",
    )
    parser.add_argument("--tls", action="store_true", help="serve HTTPS; the first line names the CA bundle to trust")
    parser.add_argument("--allow-remote", action="store_true", help="allow an address that other machines can reach")
    options = parser.parse_args(arguments)
    try:
        check_host(options.host, allow_remote=options.allow_remote)
    except ArgumentError as error:
        parser.error(f"{error} (--allow-remote)")
    return options


if __name__ == "__main__":
    sys.exit(main())
