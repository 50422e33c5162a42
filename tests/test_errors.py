from voiced import errors
from voiced.errors import BY_CODE, CONTROL_BY_CODE, ControlError, VoicedError


def leaves(branch: type[VoicedError]) -> list[type[VoicedError]]:
    below = branch.__subclasses__()
    return [leaf for sub in below for leaf in leaves(sub)] if below else [branch]


def test_each_leaf_has_a_code_of_its_own() -> None:
    codes = [leaf.code for leaf in leaves(VoicedError) if not issubclass(leaf, ControlError)]
    assert len(codes) == len(set(codes))
    assert set(codes) <= set(BY_CODE)
    assert all(BY_CODE[leaf.code] is leaf for leaf in leaves(VoicedError) if not issubclass(leaf, ControlError))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__
    missing = [leaf.code for leaf in leaves(VoicedError) if not issubclass(leaf, ControlError) and leaf.code not in errors.__doc__]
    assert missing == []


def test_control_codes_are_those_of_the_contract() -> None:
    contract = "bad_request unsupported_version unknown_command bad_argument not_now unavailable timeout internal"
    assert set(CONTROL_BY_CODE) == set(contract.split())


def test_every_end_has_an_exit_status_that_says_failure() -> None:
    for kind in leaves(VoicedError):
        assert 64 <= kind.exit_status <= 78, kind
        assert kind.fault in ("settings", "server", "machine", "voiced", "client")
