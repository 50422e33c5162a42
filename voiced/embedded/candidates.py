"""The table of who hears, thinks and speaks on a machine, best first.

The packages behind it are extras and slow to import, so nothing here imports them before a candidate is tried.
"""

from functools import partial

from voiced.embedded.parts import Candidates, Model, Recogniser, Voice


def candidates(chat_url: str | None = None, chat_model: str | None = None, voice: str | None = None) -> Candidates:
    """The table. A chat URL leaves no choice of models; `voice` is a name of hibari-tts."""
    return Candidates(
        recognisers=[_moonshine],
        voices=[partial(_hibari, voice), partial(_program, "flite"), partial(_program, "espeak-ng")],
        models=[partial(_chat, chat_url, chat_model)] if chat_url else [_smollm],
    )


def _moonshine() -> Recogniser:
    from voiced.embedded.recognisers import Moonshine

    return Moonshine()


def _hibari(voice: str | None) -> Voice:
    from voiced.embedded.voices import Hibari

    return Hibari(voice)


def _program(name: str) -> Voice:
    from voiced.embedded.voices import Program

    return Program(name)


def _chat(url: str, model: str | None) -> Model:
    from voiced.embedded.chat import Chat

    return Chat(url, model)


def _smollm() -> Model:
    from voiced.embedded.smollm import SmolLM

    return SmolLM()
