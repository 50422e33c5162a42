"""What the demonstration prints."""

from voiced.demo.show import line, quote


def test_a_line_has_time_label_and_text() -> None:
    assert line(3.4159, "you say", "hello", 80) == "  3.42 s  you say     hello"


def test_a_long_text_is_wrapped_under_itself() -> None:
    text = line(12.0, "answer", "one two three four five six seven eight nine ten", 50)
    first, *rest = text.splitlines()
    assert first.startswith(" 12.00 s  answer      one")
    assert rest
    assert all(more.startswith(" " * 22) and more[22] != " " and len(more) <= 50 for more in rest)
    assert " ".join(text.split()[3:]) == "one two three four five six seven eight nine ten"


def test_a_narrow_terminal_still_gets_every_word() -> None:
    assert "fantastic" in line(1.0, "answer", "a fantastic answer", 5)


def test_a_long_quote_is_cut_between_words() -> None:
    shown = quote("word " * 100)
    assert shown.endswith(' word ..."')
    assert len(shown) < 250
