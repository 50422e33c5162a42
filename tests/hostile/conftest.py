from tests.system.conftest import pulseaudio as pulseaudio
from tests.system.conftest import sound as sound
