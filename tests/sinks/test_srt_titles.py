"""The title of a meeting in the name of its subtitles."""

from pathlib import Path

import pytest

from sinks.samples import opened, turn


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Budget 2027", "boardroom-2026-11-22T0930-budget-2027.srt"),
        ("../../etc/passwd", "boardroom-2026-11-22T0930-etc-passwd.srt"),
        ("Über uns / Ä", "boardroom-2026-11-22T0930-über-uns-ä.srt"),
        ("बजट की समीक्षा", "boardroom-2026-11-22T0930-बजट-की-समीक्षा.srt"),
        ("งบประมาณ ปีหน้า", "boardroom-2026-11-22T0930-งบประมาณ-ปีหน้า.srt"),
        ("ميزانية 2027", "boardroom-2026-11-22T0930-ميزانية-2027.srt"),
        # A hundred bytes end within the last letter, which goes with its marks.
        ("ab" + "กี่" * 20, f"boardroom-2026-11-22T0930-ab{'กี่' * 10}.srt"),
        ("…", "boardroom-2026-11-22T0930.srt"),
        (None, "boardroom-2026-11-22T0930.srt"),
        ("x" * 300, f"boardroom-2026-11-22T0930-{'x' * 100}.srt"),
    ],
)
def test_the_title_stands_beside_the_date(tmp_path: Path, title: str | None, name: str) -> None:
    """In letters that any file system takes."""
    opened("srt", directory=tmp_path).write(turn(meeting_title=title))
    assert [path.name for path in tmp_path.glob("*.srt")] == [name]


def test_two_meetings_of_one_minute_have_a_file_each(tmp_path: Path) -> None:
    """Somebody starts one by hand just after it began by itself."""
    sink = opened("srt", directory=tmp_path)
    sink.write(turn(1))
    sink.write(turn(2, meeting_id="meeting-2", meeting_title="Budget"))
    sink.write(turn(3, meeting_id="meeting-3", meeting_title="Budget"))
    names = sorted(path.name for path in tmp_path.glob("*.srt"))
    assert len(names) == 3
    assert names[1].startswith("boardroom-2026-11-22T0930-budget")
