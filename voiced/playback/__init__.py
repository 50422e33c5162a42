"""The playback process: reply frames to the loudspeaker, silence on a flush, and what was heard.

playout.py   what is queued and what was heard, pure
player.py    feeds a device from it
__main__.py  wiring and the poll loop
"""
