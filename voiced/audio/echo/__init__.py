"""What the microphone hears of the loudspeaker, taken out: two cancellers, the reference they need, and what goes on the wire.

reference.py  the far end by the microphone's time, from what playback announces; clock.py: even time from stamps that jitter
canceller.py  joins the parts below
alignment.py  the far end held back until its echo is near
linear.py     the linear canceller: an echo's path learned and kept; far.py: the far end in its eyes; path.py: paths moved and compared
wire.py       AEC3, and what goes out of what both cancellers leave
evidence.py   what the sounds say about who is speaking; decision.py: what follows from it, with the weights in decision.npy
interface.py  what goes in and out
"""
