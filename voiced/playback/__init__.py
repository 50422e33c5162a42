"""The playback process: reply frames to the loudspeaker, silence on a flush, and what was heard.

playout.py    what is queued and what was heard, pure; parts.py what it is made of
player.py     feeds a device from it
gain.py       volume and duck; landing.py when to cut a voice; earcons.py sounds of our own: all pure
reference.py  what capture is told of what sounds
__main__.py   wiring and the poll loop
"""
