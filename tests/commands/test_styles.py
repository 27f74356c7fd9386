from io import StringIO

from hostile_texts import HOSTILE, controls
from minuted.commands import styles


def test_a_styled_text_is_clean_and_no_markup() -> None:
    out = StringIO()
    styles.console(out, soft_wrap=True).print(styles.styled(("! ", "red"), HOSTILE, style="dim"))
    assert out.getvalue().count("\n") == 1
    assert controls(out.getvalue()) == []
    assert "[red]markup[/red] :bomb:" in out.getvalue()


def test_a_style_reaches_its_own_letters() -> None:
    text = styles.styled("a\u200b\u200b", ("b", "red"), "c")
    assert text.plain == "abc"
    assert [(span.start, span.end, span.style) for span in text.spans] == [(1, 2, "red")]
