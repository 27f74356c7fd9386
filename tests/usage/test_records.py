"""Times and numbers of those who read what was said."""

from datetime import datetime

import pytest

from minuted.usage import parser


def export(*options):
    return parser("1").parse_args(["export", *options])


def test_times_are_local_and_of_today_unless_they_say_otherwise():
    """Somebody asks for "from half past nine" with a clock on the wall before them."""
    today = datetime.now().astimezone().date()
    assert export("--from", "09:30").from_time.strftime("%F %T") == f"{today} 09:30:00"
    assert export("--to", "2026-11-22T09:30").to_time.replace(tzinfo=None) == datetime(2026, 11, 22, 9, 30)  # noqa: DTZ001
    assert export("--to", "2026-11-22T09:30+05:45").to_time.timestamp() == 1795319100


@pytest.mark.parametrize("time", ["noon", "25:00", "2026-13-01", ""])
def test_what_is_no_time_is_refused_with_an_example(time, capsys):
    with pytest.raises(SystemExit):
        export("--from", time)
    assert "is no time: give 2026-11-22T09:30, or 09:30 for today" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "9" * 30])
def test_a_record_s_number_is_a_number(number):
    with pytest.raises(SystemExit):
        parser("1").parse_args(["replay", f"--from-seq={number}"])
