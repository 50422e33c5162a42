"""The capture process: microphone to 24 kHz frames.

framer.py    device sound to frames of the bus, muted or not; pure
__main__.py  wiring and the poll loop
"""
