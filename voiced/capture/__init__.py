"""The capture process: microphone to 24 kHz frames.

microphone.py    what becomes of the sound on its way out: joins what follows
framer.py        device sound to frames
hearing.py       the echo taken out, and what is said about the user
wakeword.py      the wake word's detector; ears.py is the door that it opens
speech.py        when the user speaks, from the detector's probabilities
interruption.py  duck, confirm, resume
gate.py          what leaves the process
__main__.py      wiring and the poll loop

All but wakeword.py and __main__.py are pure.
"""
