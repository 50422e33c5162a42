"""Which devices there are, and whether the one in use is still the one that is wanted.

scene.py    what a sound server has, what it means for us; pure
wire.py     the few commands of PulseAudio's native protocol that tell it; pure
watch.py    the connection to the sound server, the sound cards, the clocks: one object for a poll loop
waiting.py  a process whose device is away waits for it
"""
