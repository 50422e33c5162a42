import subprocess
import sys
from pathlib import Path

_SPEAK = "from voiced.embedded.voices import Hibari; print(len(Hibari().speak('Hello.', 1.0)))"


def test_who_speaks_offline_tells_nobody_and_keeps_no_number_of_this_machine(tmp_path: Path) -> None:
    """onnxruntime 1.32 sends what it does to Microsoft, with an identifier that it keeps here. In an environment of its own: it
    leaves that out where it takes itself to be tested."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    spoken = subprocess.run([sys.executable, "-c", _SPEAK], env=env, check=True, capture_output=True, text=True, timeout=60)
    assert int(spoken.stdout) > 10_000
    assert [path for path in tmp_path.rglob("*") if "icrosoft" in str(path)] == []
