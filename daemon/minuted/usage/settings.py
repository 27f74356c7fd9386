"""The options of `minuted configure`: every setting by its name, and what is done with them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_LIVE: Final = (
    # Settings that may change while a session is open; which of them do, the session's model decides.
    ("min_turn_silence", int, "MS", "silence after which a finished sentence ends the turn, 50 to 10000"),
    ("max_turn_silence", int, "MS", "silence that ends any turn, 50 to 10000"),
    ("prompt", str, "TEXT", "instruction or context, up to 1,750 characters"),
    ("agent_context", str, "TEXT", "what a voice agent last said, up to 1,750 characters"),
    ("mode", str, "MODE", "min_latency, balanced or max_accuracy"),
    ("vad_threshold", float, "0..1", "sound below it counts as silence"),
    ("interruption_delay", int, "MS", "time before the first partial, 0 to 1000"),
    ("continuous_partials", bool, "", "partials at a steady pace"),
    ("end_of_turn_confidence_threshold", float, "0..1", "Universal-Streaming models only"),
    ("format_turns", bool, "", "Universal-Streaming models only"),
    ("filter_profanity", bool, "", "replace profanity by asterisks"),
    ("turn_left_pad_ms", int, "MS", "as the SDK has it"),
    ("session_heartbeat", bool, "", "a sign of life every 5 s"),
    ("acknowledge_silence", bool, "", "have silence confirmed"),
)
_FIXED: Final = (
    # Known, so that the refusal can say where they belong.
    *("speech_model", "language_detection", "domain", "inactivity_timeout", "webhook_url"),
    *("webhook_auth_header_name", "webhook_auth_header_value", "speaker_labels", "max_speakers"),
    *("speaker_labels_revision_interval_ms", "voice_focus", "voice_focus_threshold"),
    *("include_partial_turns", "redact_pii", "redact_pii_policies", "redact_pii_sub"),
    *("customer_support_audio_capture", "previous_context_n_turns"),
)


class _Setting(argparse.Action):
    """Collects settings in a namespace of their own: `settings`."""

    def __init__(self, *args: Any, settles: Any = None, adds: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settles = settles
        self._adds = adds

    def __call__(self, _: Any, namespace: Any, values: Any, _option: str | None = None) -> None:
        value = self._settles if self._settles is not None else values
        own = dict(vars(namespace.settings))
        own[self.dest] = [*own.get(self.dest, []), value] if self._adds else value
        namespace.settings = argparse.Namespace(**own)


def add_configure(add: Callable[..., argparse.ArgumentParser]) -> None:
    added = add(
        "configure",
        "change settings of the open session, or see them",
        "What is given is changed as a whole, or refused as a whole with the reason: each model takes "
        "changes of its own settings. It holds for every later session, through reconnects and restarts, "
        "until --reset. Without options it shows what is in force.",
        "minuted configure --max-turn-silence 2000 --keyterm metformin --keyterm Siobhan",
        "minuted configure --profile interview --until-restart",
        "minuted configure --clear keyterms_prompt",
        "minuted configure --reset",
    )
    added.set_defaults(settings=argparse.Namespace())
    for name, kind, metavar, meaning in _LIVE:
        flag = name.replace("_", "-")
        if kind is bool:
            for sign, settles in (("", True), ("no-", False)):
                about = meaning if settles else argparse.SUPPRESS
                added.add_argument(
                    f"--{sign}{flag}", dest=name, nargs=0, action=_Setting, settles=settles, help=about
                )
        else:
            added.add_argument(
                f"--{flag}", dest=name, type=kind, metavar=metavar, action=_Setting, help=meaning
            )
    terms = (
        "a name or term to listen for, up to 50 characters; up to 100 of them, in the place of those before"
    )
    added.add_argument(
        "--keyterm", dest="keyterms_prompt", metavar="TERM", action=_Setting, adds=True, help=terms
    )
    added.add_argument("--keyterms-file", metavar="FILE", type=Path, help="take them from a file, one a line")
    added.add_argument(
        "--language-code",
        dest="language_codes",
        metavar="CODE",
        action=_Setting,
        adds=True,
        help="a language to expect, the likeliest first; up to 10 of them",
    )
    for name in _FIXED:
        flag = name.replace("_", "-")
        added.add_argument(
            f"--{flag}", dest=name, nargs="?", const=True, action=_Setting, help=argparse.SUPPRESS
        )
    added.add_argument(
        "--clear",
        metavar="SETTING",
        action="append",
        default=[],
        help="empty a list or text, as keyterms_prompt",
    )
    added.add_argument("--profile", metavar="NAME", help="switch to [profiles.NAME]; none: back to [session]")
    added.add_argument(
        "--reset", metavar="SETTING", nargs="*", help="take back all changes, or those of these settings"
    )
    added.add_argument(
        "--until-restart", action="store_true", help="forget it when minuted is started the next time"
    )
