# ruff: noqa: E501  # lines as they are shown
"""Subtitles in many languages: their lines, their times, and what readers that are not ours find in them."""

import io
from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted import Word, directions, text_layout
from sinks.languages import MEETINGS, meeting
from sinks.samples import load, turn
from sinks.subtitles import read, srt

BOUNDED = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
MARKS = {
    "\u202b": "[RLE]",
    "\u202c": "[PDF]",
    "\u200f": "[RLM]",
    "\u200e": "[LRM]",
    "\u2066": "[LRI]",
    "\u2067": "[RLI]",
    "\u2069": "[PDI]",
}
SHOWN = {
    # Each cue: from, to, and its lines.
    "zh": """\
1000 5750 李明：各位早上好， / 今天我们讨论明年的预算，
5800 12350 首先请财务部的同事介绍一下情况。 / 大家有没有问题？
12400 19400 如果没有的话，我们就开始 / “第一项”（2027年计划）吧！
20300 24100 王芳：好的， / 我用 API 导出了三张表。
""",
    "ja": """\
1000 2450 田中：本日はお集まりいただき / ありがとうございます。
2500 4250 次に優先順位について / 「話し合い」ましょう。
4300 5150 ショッピングセンターの件は、
5200 8217 来週の会議でもう一度 / ご相談させていただけますか？
8300 10300 鈴木：はい、了解です。
""",
    "ko": """\
1000 2450 김민수: 안녕하세요 여러분. / 오늘 회의를 시작하겠습니다.
2500 3650 먼저 2027년 예산(안)을 검토하고,
3700 6300 그 다음에 마케팅 부서의 / 보고를 들을 예정입니다.
6800 7900 박지영: 네, 좋습니다!
""",
    "th": """\
1000 3950 สมชาย: สวัสดีครับ วันนี้เราจะ / เริ่มการประชุมเรื่องงบประมาณปีหน้า
4000 9000 ขอให้ทุกคนเตรียมเอกสารให้พร้อม / แล้วเราจะพิจารณาทีละข้อนะครับ
9500 12100 สมหญิง: ได้ค่ะ น้ำและกาแฟอยู่ด้านหลัง
""",
    "hi": """\
1000 3950 प्रिया: नमस्ते, आज हम अगले / वर्ष के बजट पर चर्चा करेंगे।
4000 9000 क्या सब तैयार हैं? पहले वित्त विभाग अपनी / रिपोर्ट प्रस्तुत करेगा, फिर हम प्रश्न पूछेंगे।
9500 11500 अमित: जी हाँ, मैं तैयार हूँ।
""",
    "ar": """\
1000 4850 [RLE]A:[RLM] صباح الخير جميعا، لنبدأ الاجتماع. هل[PDF] / [RLE]لديكم أي أسئلة حول ميزانية 2027 (المسودة)؟[PDF]
4900 7800 [RLE]سنستخدم Google Cloud لهذا[PDF] / [RLE]المشروع، والتكلفة 12.5% أقل.[PDF]
8300 10000 [RLE]سارة: 2027 سنة مهمة، شكرا.[PDF]
""",
    "he": """\
1000 4850 [RLE]A:[RLM] בוקר טוב לכולם, נתחיל את הישיבה.[PDF] / [RLE]האם יש שאלות על תקציב 2027 (הטיוטה)?[PDF]
4900 7800 [RLE]Google Cloud יעלה 12.5% פחות, כך אמרו לנו.[PDF]
8300 10000 [RLE]דנה: API הוא ממשק, תודה![PDF]
""",
    "de": """\
1000 2367 Frau Müller: Guten Morgen zusammen. Die / Donaudampfschifffahrtsgesellschaftskapitän
2417 3950 smützenabteilung hat / z.\u00a0B. 3,5\u00a0% mehr ausgegeben,
4000 6300 und das „Beispiel“ steht im Bericht.
6800 8200 Herr Groß: Ja, äußerst ärgerlich!
""",
    "emoji": """\
1000 2150 A: Well done 👩\u200d👩\u200d👧\u200d👦 👍🏽👍🏽👍🏽,
2200 6900 greetings from 🇩🇪🇫🇷🇯🇵 and ❤️\u200d🔥 / to the 🧑🏿\u200d🚀 team: 1️⃣ 2️⃣ 3️⃣ go 🏴\u200d☠️!
7400 8233 B: 👍🏽
""",
    "mixed": """\
1000 4800 A: The word שלום means peace, / and 你好 means hello, مرحبا too.
5300 8200 [RLE]B:[RLM] قال John: [LRI]“we ship v2.0 today”[PDI] ثم ضحك.[PDF]
8700 12200 C: 我们用 Kubernetes 和 / PostgreSQL，版本是 2.0。
12700 14400 [LRM]ا:[LRM] 2027 is the year.
""",
}
NO_LINE_BEGINS_WITH = "、。，．！？：；）」』】〉》”’ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
NO_LINE_ENDS_WITH = "（「『【〈《“‘"


def visible(text):
    return text.translate({ord(mark): name for mark, name in MARKS.items()})


def bare(text):
    return text.translate({ord(mark): None for mark in MARKS})


def document(records, form="srt"):
    return srt.Srt(directory=Path(), format=form).document(records, "boardroom", 0).decode()


@pytest.mark.parametrize("name", MEETINGS)
def test_a_meeting_is_shown_as_its_readers_expect(name):
    cues = read(document(meeting(name)))
    lines = [f"{cue.start_ms} {cue.end_ms} {visible(cue.text)}".replace("\n", " / ") for cue in cues]
    assert lines == SHOWN[name].splitlines()


@pytest.mark.parametrize("name", MEETINGS)
def test_cues_cover_their_words_and_no_line_is_too_wide(name):
    records = meeting(name)
    cues = read(document(records))
    words = [word for record in records for word in record.words]
    left = list(cues)
    while left and words:
        cue = left.pop(0)
        own = [word for word in words if cue.start_ms <= word.start_ms < (left[0].start_ms if left else 1e9)]
        assert cue.start_ms == own[0].start_ms or name == "de"
        # A word longer than a line may go on in the next cue.
        whole = [word for word in own if word.text in bare(cue.text).replace("\n", "")] or own[:1]
        assert cue.end_ms >= whole[-1].end_ms - 50
        columns = 32 if name in ("zh", "ja", "ko") else 42
        assert all(text_layout.width(bare(line)) <= columns for line in cue.text.splitlines())
    said = "".join("".join(record.text.split()) for record in records)
    shown = "".join("".join(bare(cue.text).split()) for cue in cues)
    colon = "：" if name in ("zh", "ja") else ":"
    for label in dict.fromkeys(f"{record.speaker}{colon}" for record in records):
        shown = shown.replace("".join(label.split()), "", 1)
    assert shown == said


@pytest.mark.parametrize("name", MEETINGS)
def test_no_line_begins_or_ends_with_a_sign_that_may_not(name):
    for cue in read(document(meeting(name))):
        for line in bare(cue.text).splitlines():
            assert line[0] not in NO_LINE_BEGINS_WITH
            assert line[-1] not in NO_LINE_ENDS_WITH


@pytest.mark.parametrize("name", MEETINGS)
def test_other_readers_see_the_same(name):
    text = document(meeting(name))
    cues = read(text)
    others = pysubs2.SSAFile.from_string(text, format_="srt")
    assert [(each.start, each.end, each.plaintext) for each in others] == cues
    captions = webvtt.from_buffer(io.BytesIO(document(meeting(name), "vtt").encode()), format="vtt")
    assert [bare(caption.text) for caption in captions] == [bare(cue.text) for cue in cues]


def test_chinese_said_a_sign_at_a_time_is_covered_to_its_end():
    """Seventeen seconds without a blank: once a line of 84 columns, and three seconds without a cue."""
    text = (
        "我们今天讨论明年的预算安排，财务部先介绍情况，然后各部门依次发言，最后由主席总结，宣布下次会议时间。"
    )
    step_ms = 17_000 // len(text)
    words = tuple(
        Word(text=sign, start_ms=1000 + step_ms * n, end_ms=1000 + step_ms * (n + 1))
        for n, sign in enumerate(text)
    )
    record = turn(1, text, start_ms=1000, end_ms=words[-1].end_ms, words=words, language="zh")
    cues = read(document([record]))
    assert [cue.text.replace("\n", " / ") for cue in cues] == [
        "我们今天讨论明年的预算安排，",
        "财务部先介绍情况， / 然后各部门依次发言，",
        "最后由主席总结， / 宣布下次会议时间。",
    ]
    for before, after in pairwise(cues):
        assert after.start_ms - before.end_ms <= 83
    assert cues[-1].end_ms >= words[-1].end_ms


def test_a_word_keeps_its_time_where_the_text_has_a_sign_more():
    """Once a cue began a tenth of a second beside its word."""
    names = [f"{name}{n}" for n in range(8) for name in ("Quartz", "river", "amber", "zephyr")]
    words = tuple(
        Word(text=name, start_ms=1000 + 400 * n, end_ms=1350 + 400 * n) for n, name in enumerate(names)
    )
    text = " ".join(names[:9]) + " — " + " ".join(names[9:]) + "."
    cues = read(document([turn(1, text, start_ms=1000, end_ms=words[-1].end_ms, words=words)]))
    begins = {word.text: word.start_ms for word in words}
    assert [cue.start_ms for cue in cues] == [
        begins[next(each for each in cue.text.split() if each != "—").strip(".")] for cue in cues
    ]
    assert len(cues) > 3


@pytest.mark.parametrize(
    ("text", "language", "style"),
    [
        ("Good morning.", None, "en"),
        ("Guten Morgen.", "de", None),
        ("今天我们讨论预算", None, "zh"),
        ("今天我们讨论预算", "en", "zh"),
        ("次の会議は来週です", None, "ja"),
        ("안녕하세요 여러분", None, "ko"),
        ("สวัสดีครับ", None, "th"),
        ("नमस्ते दोस्तों", None, "hi"),
        ("صباح الخير", None, "ar"),
        ("Wir fahren nach 北京 und dann weiter.", "de", None),
        ("我们用 Kubernetes 和 Postgres 数据库", "zh", None),
        ("Good morning.", "ja", None),
    ],
)
def test_a_script_tells_how_a_text_is_set(text, language, style):
    """A label of the language may be missing, or be wrong for this turn."""
    assert srt.style_of(text, language) == (srt.STYLES[style] if style else srt.OTHER)


def test_a_name_is_shortened_between_letters():
    record = turn(1, "Hi.", speaker="👩\u200d👩\u200d👧\u200d👦" * 15)
    (cue,) = read(document([record]))
    assert cue.text == "👩\u200d👩\u200d👧\u200d👦" * 10 + ": Hi."


def test_what_turns_text_round_is_taken_out():
    """Nobody may say what reads otherwise than it was said."""
    assert "\u202e" not in document([turn(1, "abc \u202edef\u2066 ghi")])


SIGNS = st.sampled_from(
    [
        *"今天我们讨论预算，。？！「」（）、ーっょ",
        *"สวัสดีครับ น้ำการ",
        *"नमस्ते क्षत्रिय। ",
        *"صباح الخير؟، ",
        *"שלום עולם ",
        *"가나다 라마 ",
        *"abc de-f g. 12 ",
        "\u00a0",
        "👩\u200d👩\u200d👧\u200d👦",
        "🇩🇪",
        "👍🏽",
        "e\u0301",
        "1\ufe0f\u20e3",
    ]
)
TEXTS = st.lists(SIGNS, min_size=1, max_size=120).map("".join).filter(str.strip)


@given(TEXTS, st.sampled_from([None, "zh", "ar", "en"]), st.booleans())
@BOUNDED
def test_no_letter_is_cut_lost_or_too_wide_whatever_is_said(text, language, has_words):
    words = ()
    if has_words:
        parts = text_layout.pieces(text_layout.one_line(text), 10)
        words = tuple(
            Word(text=part.strip(), start_ms=1000 + 300 * n, end_ms=1250 + 300 * n)
            for n, part in enumerate(parts)
        )
    end_ms = words[-1].end_ms if words else 1000 + 150 * len(text)
    record = turn(1, text, start_ms=1000, end_ms=end_ms, words=words, language=language)
    shown = srt.without_markup(text)
    cues = read(document([record]))
    lines = [bare(line) for cue in cues for line in cue.text.splitlines()]
    assert "".join("".join(lines).split()) == "".join(shown.split())
    assert all(text_layout.width(line) <= 42 for line in lines)
    ends, at = set(), 0
    for letter in text_layout.graphemes(shown):
        at += len("".join(letter.split()))
        ends.add(at)
    at = 0
    for line in lines:
        at += len("".join(line.split()))
        assert at in ends
    for cue in cues:
        for line in cue.text.splitlines():
            assert line.count("\u202b") == line.count("\u202c")
    for before, after in pairwise(cues):
        assert before.end_ms <= after.start_ms
    assert cues[-1].end_ms >= min(end_ms, cues[-1].start_ms + srt.CUE_MS_MAX) - 50


@pytest.mark.parametrize("name", MEETINGS)
def test_minutes_show_each_turn_as_it_is_written(name):
    """In a line that begins with a time from left to right."""
    txt = load("txt")
    for form in ("txt", "md"):
        text = txt.Txt(directory=Path(), format=form).document(meeting(name), "boardroom", 0).decode()
        for record in meeting(name):
            said = record.text
            if directions.may_turn(said):
                mark = "\u2067" if directions.is_right_to_left(said, record.language) else "\u2066"
                # Quotes are no brackets: without marks the second would stand before John.
                quoted = said.replace("“we ship v2.0 today”", "\u2066“we ship v2.0 today”\u2069")
                said = f"{mark}{quoted}\u2069"
            assert (txt.escaped(said) if form == "md" else said) in text
