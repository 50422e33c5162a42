"""The process that libFuzzer runs in: `python -m tests.fuzz.instrumented TARGET OPTION...`; use `python -m tests.fuzz`."""

import sys

try:
    import atheris
except ImportError:
    sys.exit("wants Atheris: pip install atheris (wheels for x86_64 alone)")

with atheris.instrument_imports(include=["voiced"]):
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
