"""The process that other machines talk to, where `remote.listen` asks for it: what comes over TCP, under CURVE keys, is passed on to
the daemon's own sockets. A process apart, so that strangers knock where no key of a speech server and no sound is, and whoever
breaks in, or makes it run out of memory or descriptors, has that and no more.
"""
