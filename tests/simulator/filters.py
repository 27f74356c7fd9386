"""What the service hides of what was said, and which language it says it was (reference 2.3, 2.6, 4.4)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .ear import Heard
from .options import Options
from .parameters import Parameters
from .turns import Turn

POLICY = "person_name"
"""What every word is taken for that is personal."""


def filtered(turn: Turn, parameters: Parameters, options: Options) -> Turn:
    """Give a turn as it may be said: profanity as asterisks, and in finals a tag for each personal word."""
    words = turn.words
    if parameters["filter_profanity"] and options.profane_every:
        words = _with(words, options.profane_every, lambda text: "*" * len(text))
    is_personal = POLICY in (parameters["redact_pii_policies"] or (POLICY,))
    if parameters["redact_pii"] and turn.final and options.personal_every and is_personal:
        tag = f"[{POLICY.upper()}]" if parameters["redact_pii_sub"] == "entity_name" else ""
        words = _with(words, options.personal_every, lambda text: tag or "#" * len(text))
    if words is turn.words:
        return turn
    shown = len(turn.text.split())
    uttered = shown - len(turn.utterance.split())
    return replace(
        turn,
        words=words,
        text=" ".join(word.text for word in words[:shown]),
        utterance=" ".join(word.text for word in words[uttered:shown]),
    )


def language_of(turn: Turn, parameters: Parameters, options: Options) -> str | None:
    """Name the language of a final where that was asked for, and the model can tell."""
    tells = parameters.is_u3 or parameters.model.endswith("multilingual")
    if not (turn.final and parameters["language_detection"] and tells and turn.words):
        return None
    return options.languages[turn.words[0].number % len(options.languages)]


def _with(words: Sequence[Heard], every: int, hide: Callable[[str], str]) -> tuple[Heard, ...]:
    return tuple(
        replace(word, text=_hidden(word.text, hide)) if word.number % every == 0 else word for word in words
    )


def _hidden(text: str, hide: Callable[[str], str]) -> str:
    """Hide a word, and leave what ends the sentence."""
    bare = text.rstrip(".?!—")
    return hide(bare) + text[len(bare) :]
