"""`voicectl doctor`: whether this machine, these settings and this connection are fit to talk to, and what to change.

Beside the daemon and no part of it. `sound` is a process of its own, which may hang or die with the sound system that it
tries; it measures by `duplex` (devices) and `acoustics` (pure) and prints what it found. `advice` makes findings of that (pure),
`connection` and `machine` add theirs, `show` prints them, `fixing` writes what they recommend into the settings.
"""
