"""Each remark is told once, and shown as long as it holds."""

from minuted.transcription.remarks import SHOWN_MAX, TOLD_MAX, Remarks


def test_a_remark_is_told_once_however_many_sessions_say_it() -> None:
    remarks = Remarks()
    heard = []
    for _ in range(3):
        remarks.begin()
        heard.append(remarks.hear("no speaker labels"))

    assert heard == [True, False, False]
    assert remarks.shown == "no speaker labels"


def test_what_the_next_session_does_not_say_is_no_longer_shown() -> None:
    remarks = Remarks()
    remarks.hear("no speaker labels")
    remarks.hear("another model")
    assert remarks.shown == "no speaker labels; another model"
    remarks.begin()
    assert remarks.shown == ""


def test_what_is_kept_has_a_bound() -> None:
    remarks = Remarks()
    for number in range(TOLD_MAX + 1):
        assert remarks.hear(f"remark {number}")

    assert remarks.shown.count(";") == SHOWN_MAX - 1
    assert not remarks.hear("remark 1")
    assert remarks.hear("remark 0"), "the oldest may be told again"
