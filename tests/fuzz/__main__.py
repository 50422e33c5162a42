"""Fuzzes what others' bytes are decoded by, guided by coverage (Atheris, which is libFuzzer for Python).

    python -m tests.fuzz wire --seconds 300
    python -m tests.fuzz bus --seconds 300

Wants `pip install atheris` (the extra `fuzz`: x86_64 alone has wheels). Ends with 77 where something was found, and says in which file
that is: put it into the corpus, and the suite (tests/fuzz/test_corpus.py) goes on trying it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
_LIMITS = ("-rss_limit_mb=2048", "-malloc_limit_mb=256", "-timeout=20", "-max_len=4096", "-print_final_stats=1", "-artifact_prefix=found-")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voiced-fuzz-") as scratch:
        # In a process of its own, for libFuzzer ends the one that it runs in. What it finds goes into the first directory.
        command = [sys.executable, "-m", "tests.fuzz.instrumented", given.target, *_LIMITS, f"-max_total_time={given.seconds}"]
        return subprocess.run([*command, f"-dict={HERE / 'words.dict'}", scratch, str(CORPUS / given.target)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
