"""``python -m tests.fuzz TARGET --seconds N``: prints how many inputs were tried, and one that fails."""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", help="checkpoint, xml, url, headers, connection or server-request")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes; the same gives the same inputs")
    parser.add_argument("--random", action="store_true", help="no coverage guidance, even where atheris is installed")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        atheris = None
    if atheris is None or options.random:
        return by_chance(options)
    return by_coverage(atheris, options)


def by_chance(options: argparse.Namespace) -> int:
    from tests.fuzz.mutation import fuzz
    from tests.fuzz.targets import TARGETS

    report = fuzz(TARGETS[options.target], seed=options.seed, seconds=options.seconds)
    print(f"{options.target}: {report}")
    return int(report.error is not None)


def by_coverage(atheris, options: argparse.Namespace) -> int:  # type: ignore[no-untyped-def]
    import tempfile
    from pathlib import Path

    # Nothing of the package may be imported before: what is, is not instrumented.
    with atheris.instrument_imports(include=["airflow_provider_ossresume"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory(prefix="fuzz-corpus-") as folder:
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds):
            (corpus / str(number)).write_bytes(seed)
        words.write_text("".join(f'"{escaped(word)}"\n' for word in target.words))
        flags = [f"-max_total_time={options.seconds:.0f}", f"-seed={options.seed}", f"-dict={words}", "-max_len=8192"]
        flags += ["-print_final_stats=1", f"-artifact_prefix={tempfile.gettempdir()}/"]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], target.check)
        atheris.Fuzz()  # ends the process
    return 0


def escaped(word: bytes) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
