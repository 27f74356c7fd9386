# ruff: noqa: E501  # an emoji is many characters, and few columns
"""A meeting in each of many languages: what is said, and each timed word in its time."""

from typing import Any

from minuted import Turn, Word
from sinks.samples import turn

MEETINGS: dict[str, list[tuple[str, str, str]]] = {
    # Language, speaker, and the text with its timed words parted by "|".
    "zh": [
        (
            "zh",
            "李明",
            (
                "各|位|早|上|好，|今|天|我|们|讨|论|明|年|的|预|算，|首|先|请|财|务|部|的|同|事|介|绍|一|下|情|况。|"
                "大|家|有|没|有|问|题？|如|果|没|有|的|话，|我|们|就|开|始|“|第|一|项|”|（|2027|年|计|划|）|吧！"
            ),
        ),
        ("zh", "王芳", "好|的，|我|用| API |导|出|了|三|张|表。"),
    ],
    "ja": [
        (
            "ja",
            "田中",
            (
                "本日は|お集まり|いただき|ありがとう|ございます。|次に|優先|順位に|ついて|「話し合い」|ましょう。|"
                "ショッピング|センターの|件は、|来週の|会議で|もう一度|ご相談|させて|いただけ|ますか？"
            ),
        ),
        ("ja", "鈴木", "はい、|了解です。"),
    ],
    "ko": [
        (
            "ko",
            "김민수",
            (
                "안녕하세요 |여러분. |오늘 |회의를 |시작하겠습니다. |먼저 |2027년 |예산(안)을 |검토하고, |"
                "그 |다음에 |마케팅 |부서의 |보고를 |들을 |예정입니다."
            ),
        ),
        ("ko", "박지영", "네, |좋습니다!"),
    ],
    "th": [
        (
            "th",
            "สมชาย",
            (
                "สวัสดี|ครับ |วันนี้|เรา|จะ|เริ่ม|การประชุม|เรื่อง|งบประมาณ|ปีหน้า |"
                "ขอ|ให้|ทุกคน|เตรียม|เอกสาร|ให้|พร้อม|แล้ว|เรา|จะ|พิจารณา|ทีละ|ข้อ|นะ|ครับ"
            ),
        ),
        ("th", "สมหญิง", "ได้|ค่ะ |น้ำ|และ|กาแฟ|อยู่|ด้านหลัง"),
    ],
    "hi": [
        (
            "hi",
            "प्रिया",
            (
                "नमस्ते, |आज |हम |अगले |वर्ष |के |बजट |पर |चर्चा |करेंगे। |क्या |सब |तैयार |हैं? |"
                "पहले |वित्त |विभाग |अपनी |रिपोर्ट |प्रस्तुत |करेगा, |फिर |हम |प्रश्न |पूछेंगे।"
            ),
        ),
        ("hi", "अमित", "जी |हाँ, |मैं |तैयार |हूँ।"),
    ],
    "ar": [
        (
            "ar",
            "A",
            (
                "صباح |الخير |جميعا، |لنبدأ |الاجتماع. |هل |لديكم |أي |أسئلة |حول |ميزانية |2027 |(المسودة)؟ |"
                "سنستخدم |Google |Cloud |لهذا |المشروع، |والتكلفة |12.5% |أقل."
            ),
        ),
        ("ar", "سارة", "2027 |سنة |مهمة، |شكرا."),
    ],
    "he": [
        (
            "he",
            "A",
            (
                "בוקר |טוב |לכולם, |נתחיל |את |הישיבה. |האם |יש |שאלות |על |תקציב |2027 |(הטיוטה)? |"
                "Google |Cloud |יעלה |12.5% |פחות, |כך |אמרו |לנו."
            ),
        ),
        ("he", "דנה", "API |הוא |ממשק, |תודה!"),
    ],
    "de": [
        (
            "de",
            "Frau Müller",
            (
                "Guten |Morgen |zusammen. |Die |Donaudampfschifffahrtsgesellschaftskapitänsmützenabteilung |hat |"
                "z.\u00a0B. |3,5\u00a0% |mehr |ausgegeben, |und |das |„Beispiel“ |steht |im |Bericht."
            ),
        ),
        ("de", "Herr Groß", "Ja, |äußerst |ärgerlich!"),
    ],
    "emoji": [
        (
            "en",
            "A",
            (
                "Well |done |👩\u200d👩\u200d👧\u200d👦 |👍🏽👍🏽👍🏽, |greetings |from |🇩🇪🇫🇷🇯🇵 |"
                "and |❤️\u200d🔥 |to |the |🧑🏿\u200d🚀 |team: |1️⃣ |2️⃣ |3️⃣ |go |🏴\u200d☠️!"
            ),
        ),
        ("en", "B", "👍🏽"),
    ],
    "mixed": [
        ("en", "A", "The |word |שלום |means |peace, |and |你好 |means |hello, |مرحبا |too."),
        ("ar", "B", "قال |John: |“we |ship |v2.0 |today” |ثم |ضحك."),
        ("zh", "C", "我|们|用| Kubernetes |和| PostgreSQL，|版|本|是| 2.0。"),
        ("en", "ا", "2027 |is |the |year."),
    ],
}


def meeting(name: str) -> list[Turn]:
    """Return the turns of a meeting, 300 ms a word, a second between turns."""
    turns = []
    at_ms = 1000
    for seq, (language, speaker, said) in enumerate(MEETINGS[name], 1):
        parts = said.split("|")
        words = tuple(
            Word(text=part.strip(), start_ms=at_ms + 300 * n, end_ms=at_ms + 300 * (n + 1))
            for n, part in enumerate(parts)
        )
        values: dict[str, Any] = {"speaker": speaker, "language": language, "words": words}
        turns.append(turn(seq, "".join(parts), start_ms=at_ms, end_ms=words[-1].end_ms, **values))
        at_ms = words[-1].end_ms + 1000
    return turns
