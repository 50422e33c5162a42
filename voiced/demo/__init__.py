"""`voiced --demo`: the real thing where there is no sound card, with an exit status that a script can trust.

A private sound server with null devices, the real daemon with the embedded server, and a conversation between them:
a question, an answer, an interruption in its middle, a second answer. All that is shown is measured at the devices or
told by the daemon; 0 is returned only if all of it happened.

    conversation.py           what is said, and the judgement; pure
    story.py                  carries it out
    program.py                puts it all together
    show.py                   what is printed
    daemon.py                 the daemon under demonstration
    soundserver.py recorder.py   private sound servers, and a recorder whose samples have times; tests use them too

A client of the daemon that it starts, so it uses `voicectl` as every script does.
"""


def run() -> int:
    """Shows the conversation. 0 where all of it happened, 1 where not, 130 where Ctrl-C ended it, 143 where SIGTERM did."""
    from voiced.demo.program import main  # tests use the sound servers of this package without all of this

    return main()
