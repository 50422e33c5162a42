"""Tokens, counted as the API bills them: user sound 1 per 100 ms, assistant sound 1 per 50 ms (realtime-protocol 6.2).

There is no tokenizer here; four letters count as one token of text, as a rule of thumb.
"""

from typing import Any

from voiced.embedded.conversation import Entry, contents

_LETTERS_PER_TOKEN = 4


def longest_text(tokens: int) -> int:
    """Letters in that many tokens."""
    return tokens * _LETTERS_PER_TOKEN


def text_tokens(text: str) -> int:
    return -(-len(text) // _LETTERS_PER_TOKEN)


def usage(instructions: str, heard: list[Entry], output_text: str, output_audio_ms: int) -> dict[str, Any]:
    """The `usage` of a response that was asked in the light of `heard`. Nothing is ever cached or paid."""
    text_in, audio_in = text_tokens(instructions), 0
    for entry in heard:
        text_in += sum(text_tokens(part.text or "") for part in contents(entry.item))
        text_in += text_tokens(entry.item.arguments or "") + text_tokens(entry.item.output or "")
        audio_in += entry.audio_ms // (50 if entry.item.role == "assistant" else 100)
    text_out, audio_out = text_tokens(output_text), output_audio_ms // 50
    cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": cached,
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }
