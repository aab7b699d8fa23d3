"""Errors keep their meaning over the wire."""

from acestep.api import errors


def test_every_error_has_its_own_code_and_a_sentence_of_documentation():
    kinds = [kind for kind in errors._subclasses(errors.AceError)[1:] if kind.__module__ == errors.__name__]
    assert len({kind.code for kind in kinds}) == len(kinds) == len(errors.ERRORS)
    assert all(kind.__doc__ and kind.__doc__.strip().endswith(".") for kind in kinds)


def test_an_error_survives_the_wire():
    sent = errors.RegionOutside("too far", field="end", limits={"max": 9})
    got = errors.error_from_wire(sent.to_wire())
    assert type(got) is errors.RegionOutside
    assert got.to_wire() == sent.to_wire()


def test_a_code_from_a_newer_daemon_is_kept():
    got = errors.error_from_wire({"code": "brand_new", "message": "m", "retryable": True})
    assert (got.code, got.retryable, got.message) == ("brand_new", True, "m")
