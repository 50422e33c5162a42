"""What can be answered for certain, without any language model. Pure: the time is an argument.

A model of 135M parameters gets these wrong, and without one they are all there is. Recognised speech has mistakes in
it, so the patterns look for few words.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from voiced.embedded.reading import ALICE
from voiced.embedded.work import Call, Said

#: How a client asks for a text to be spoken as it is: in the instructions of one response, before an empty line.
_VERBATIM = re.compile(r"\s*say exactly\b[^\n]*:\s*\n\s*\n(?P<text>.+)", re.IGNORECASE | re.DOTALL)
_COUNT_LIMIT = 200
#: What is read aloud of a tool's answer.
_LONGEST_RESULT = 400
#: No rule is meant for longer questions, and some patterns take quadratic time.
_LONGEST_QUESTION = 400

_ONES: list[str] = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
)
_TENS: list[str] = re.findall(r"\w+", "zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}

NO_RECOGNITION = (
    "I heard you, but I can't understand speech: no speech recognition is installed. "
    "Install voiced with its speech packages, or type your question with voicectl ask."
)
NOTHING_HEARD = "Sorry, I didn't catch that."
WHAT_I_CAN = "I can tell the time and the date, count for you, and read you a story, which you can interrupt at any moment."
WHAT_I_AM = f"I am the voice server that comes with voiced. I run on this computer and need neither an account nor a key. {WHAT_I_CAN}"


def verbatim(instructions: str) -> str | None:
    """The text that the instructions ask to be said as it is."""
    match = _VERBATIM.match(instructions)
    return match["text"].strip() if match else None


def answer(said: tuple[Said, ...], now: datetime) -> str | None:
    """The answer to the last turn, or None where it takes more than rules."""
    if not said:
        return f"Hello. {WHAT_I_CAN}"
    last = said[-1]
    if last.role == "tool":
        return f"The answer is: {last.text[:_LONGEST_RESULT]}" if last.text else "It is done, and there is nothing to tell."
    if last.role == "call":
        return f"The tool {last.name} has not answered yet."
    if last.text is None:
        return NO_RECOGNITION
    heard = _words(last.text)
    if not heard:
        return NOTHING_HEARD
    for pattern, skill in _SKILLS:
        if (match := re.search(pattern, heard)) and (found := skill(match, said, now)):
            return found
    return None


def call(said: tuple[Said, ...], tools: tuple[dict[str, Any], ...]) -> Call | None:
    """The tool that the last turn names, as in "use the front door": called without arguments, which no rule could find."""
    if not said or said[-1].role != "user":
        return None
    heard = _words(said[-1].text or "")
    for tool in tools:
        name = re.escape(_words(tool["name"]))
        if name and re.search(rf"\b(?:use|call|run)(?: the)?(?: tool)? {name}\b", heard):
            return Call(tool["name"], "{}")
    return None


def _words(text: str) -> str:
    """As the patterns want it: small letters, digits and single blanks."""
    return " ".join(re.sub(r"[^a-z0-9']+", " ", text[:_LONGEST_QUESTION].lower()).split())


def honest(said: tuple[Said, ...]) -> str:
    """For what neither rules nor a model can answer."""
    heard = (said[-1].text or "").strip().rstrip(".?!") if said else ""
    return f"You said: {heard}. No language model is installed, so I have no answer to that. {WHAT_I_CAN}"


def number_in_words(number: int) -> str:
    """0 to 999, as a voice should say it."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{_ONES[hundreds]} hundred" + (f" and {number_in_words(rest)}" if rest else "")


def _ordinal(number: int) -> str:
    *before, last = re.split(r"(-)", number_in_words(number))
    ending = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return "".join(before) + ending


Skill = Callable[[re.Match[str], tuple[Said, ...], datetime], str | None]


def _time(_match: re.Match[str], _said: tuple[Said, ...], now: datetime) -> str:
    half = "in the morning" if now.hour < 12 else "in the afternoon" if now.hour < 18 else "in the evening"
    hour = number_in_words(now.hour % 12 or 12)
    if now.minute == 0:
        return f"It is {hour} o'clock {half}."
    minute = number_in_words(now.minute)
    return f"It is {hour} {'oh ' if now.minute < 10 else ''}{minute} {half}."


def _date(_match: re.Match[str], _said: tuple[Said, ...], now: datetime) -> str:
    century, rest = divmod(now.year, 100)
    year = f"{number_in_words(century)} {number_in_words(rest)}" if rest >= 10 else f"two thousand and {number_in_words(rest)}"
    return f"Today is {now:%A}, the {_ordinal(now.day)} of {now:%B}, {year}."


def _count(match: re.Match[str], _said: tuple[Said, ...], _now: datetime) -> str:
    limits = [number for span in re.split(r"\b(?:to|until|till)\b", match["rest"]) if (number := _number_in(span))]
    first, last = (limits[0], limits[-1]) if len(limits) > 1 else (1, limits[0] if limits else 10)
    first = min(first, _COUNT_LIMIT)
    last = min(last, _COUNT_LIMIT)
    numbers = [number_in_words(number) for number in (range(first, last + 1) if first <= last else range(first, last - 1, -1))]
    rows = [", ".join(numbers[start : start + 10]) for start in range(0, len(numbers), 10)]
    return " ".join(f"{row[0].upper()}{row[1:]}." for row in rows)


def _number_in(text: str) -> int:
    """The number that a text names, in digits or words; 0 where it names none."""
    number = 0
    for word in re.findall(r"[a-z]+|\d+", text):
        if word.isdigit():
            number += int(word[:6])
        elif word in _ONES:
            number += _ONES.index(word)
        elif word in _TENS:
            number += _TENS.index(word) * 10
        elif word == "hundred":
            number = max(1, number) * 100
    return number


def _go_on(_match: re.Match[str], said: tuple[Said, ...], _now: datetime) -> str | None:
    return next((turn.unheard for turn in reversed(said) if turn.role == "assistant" and turn.unheard), None)


def _again(_match: re.Match[str], said: tuple[Said, ...], _now: datetime) -> str | None:
    return next((turn.text for turn in reversed(said) if turn.role == "assistant" and turn.text), None)


def _fixed(text: str) -> Skill:
    return lambda _match, _said, _now: text


#: What to look for, what it means; the first that fits wins.
_SKILLS: tuple[tuple[str, Skill], ...] = (
    (r"^(?:please )?(?:go on|continue|carry on|keep (?:going|reading|counting)|and then)\b", _go_on),
    (r"\b(?:say (?:that|it) again|repeat (?:that|it)|what did you say|pardon)\b", _again),
    (r"\bcount(?:ing)?\b(?P<rest>.*)", _count),
    (r"\bwhat(?:'s| is)?(?: the)? time\b|\btime is it\b|\btell (?:me )?the time\b|\bthe time (?:now|please)\b", _time),
    (r"\bwhat(?:'s| is)?(?: the| today's)? date\b|\b(?:what|which) day\b|\bday is it\b|\btell (?:me )?the date\b|\btoday's date\b", _date),
    (r"\bread\b.*\b(?:me|something|story|book|aloud|long|text|to)\b|\btell\b.*\bstory\b|\bsomething long\b|\ba story\b", _fixed(ALICE)),
    (r"\b(?:who|what) are you\b|\byour name\b|\bintroduce yourself\b", _fixed(WHAT_I_AM)),
    (r"\bwhat can (?:you|i)\b|^help\b|\bcan you help\b", _fixed(WHAT_I_CAN)),
    (
        r"^(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there| again| computer| voiced| assistant)?$",
        _fixed("Hello. How can I help you?"),
    ),
    (r"^(?:thanks|thank you)\b", _fixed("You are welcome.")),
    (r"^(?:good ?bye|bye)\b|\bgood night\b", _fixed("Goodbye.")),
    (
        r"^(?:please )?(?:stop|be quiet|silence|shut up|enough|never mind|wait|okay|ok)(?: (?:it|now|please|a moment))*$",
        _fixed("All right."),
    ),
)
