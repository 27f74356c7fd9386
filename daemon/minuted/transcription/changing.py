"""The settings in force as the loop keeps them: changed by a wish or a file, stored, and told to sessions."""

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import structlog

from minuted.config import RUN_NAME, Settings
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.live_settings import LOCAL, with_terms
from minuted.options import ConfigError
from minuted.session_settings import StreamingSession
from minuted.transcription import changes as pure
from minuted.transcription.keyterms import KeytermsFile, KeytermsState
from minuted.transcription.lane import Lane
from minuted.transcription.reconnect import Failure, Verdict, judge

log = structlog.get_logger(__name__)

UNDONE: Final = "the service refused a change, which was taken back"
GONE: Final = "the service refused what holds no more"


class Changing:
    """What sessions are to go by. Used from the loop's thread; `status` from any.

    What is changed is stored first and told to the sessions after; each is told what it lacks, whatever
    it was doing when the change came.
    """

    def __init__(self, settings: Settings, journal: TurnJournal, tell: Callable[..., None]) -> None:
        """Raises ConfigError where there is no file of key terms, and nobody knows what was in it."""
        # Alone, without a supervisor, every process is a run of its own.
        self._run = os.environ.get(RUN_NAME) or secrets.token_hex(8)
        self._settings = settings
        self._journal = journal
        self._tell = tell
        self._model = LOCAL if settings.service == "local" else settings.session.speech_model
        self._changes = pure.from_state(journal.state("changes", pure.ChangesState), self._run)
        self._kept_terms = journal.state("keyterms", KeytermsState)
        self._keyterms = KeytermsFile(settings.session, self._kept_terms)
        self._renew()
        if gone := self._status["without_effect"]:
            log.warning("changes_without_effect", names=gone)

    @property
    def session(self) -> StreamingSession:
        """What a new session is asked for."""
        return self._session

    @property
    def told(self) -> pure.Told:
        """The same, as a session that was opened with it knows it; another object after each change."""
        return self._told

    def status(self) -> dict[str, Any]:
        """Tell what is in force, and what of it is changed."""
        return self._shown

    def look(self, now_s: float) -> None:
        """Take in the file of key terms where it has changed."""
        self._keep_terms()
        if not self._keyterms.look(now_s):
            return
        self._keep_terms()
        self._renew()
        if self._keyterms.problem:
            log.warning("keyterms_file_refused", reason=self._keyterms.problem)
            self._tell("warning", reason=f"the key terms stay as they were: {self._keyterms.problem}")
        else:
            log.info("keyterms_file_taken_in", terms=len(self._keyterms.terms))
            self._tell("configured", reason=f"{len(self._keyterms.terms)} key terms from the file")

    def configure(self, question: dict[str, Any], models: Iterable[str] = ()) -> dict[str, Any]:
        """Change what is asked for, or nothing; `models` are the open sessions', as they said themselves."""
        after = self._changes
        try:
            request = pure.request_of(question)
            # Should the service have given another model than was asked for, all have to take it.
            for each in (self._model, *(() if self._model == LOCAL else models)):
                after = pure.changed(self._changes, request, self._settings.profiles, each)
            self._journal.keep({"changes": after.to_state(self._run)})
        except ConfigError as error:
            log.warning("change_refused", reason=str(error))
            return {"error": str(error)}
        except TurnJournalFullError:
            return {"error": "there is no room on the disk to remember it"}
        self._changes = after
        self._renew()
        names = [*request.set, *request.clear, *(["profile"] if request.profile is not None else [])]
        names += [] if request.reset is None else ["reset"]
        log.info("configured", names=names, until_restart=request.until_restart)
        self._tell("configured", reason=", ".join(names))
        return {"configured": self._status}

    def reach(self, lanes: Iterable[Lane]) -> None:
        """Tell each session what it does not know yet; what none can be told comes with the next one."""
        for lane in lanes:
            if lane.turns is None or lane.is_terminating or lane.told is self._told:
                continue
            model = self._model if self._model == LOCAL else lane.model or self._model
            update, left = pure.difference(lane.told or self._told, self._told, model)
            lane.told = self._told
            if update:
                log.info("session_configured", session_id=lane.session.session_id, names=list(update))
                lane.session.configure(update)
            lane.is_stale = lane.is_stale or bool(left)

    def heed(self, failure: Failure, told: pure.Told | None) -> Failure:
        """Take back what the service has refused by name: otherwise every later session would be refused.

        What the session went by, `told`, may hold no more: another was refused for it first, or somebody
        has changed it since. Then the next one is not asked for it.
        """
        if judge(failure) is not Verdict.FATAL:
            return failure
        refused = pure.named(failure.text)
        gone = [name for name in refused if told and told[name] != self._told[name]]
        now = [name for name in refused if name not in gone]
        after, names = pure.undone(self._changes, now, self._settings.profiles, self._model)
        if not names:
            return replace(failure, text=f"{GONE}: {', '.join(gone)}", code=None) if gone else failure
        log.error("change_undone", names=names, reason=failure.text)
        self._changes = after
        self._journal.keep({"changes": after.to_state(self._run)})
        self._renew()
        self._tell("warning", reason=f"{UNDONE}: {', '.join(names)}: {failure.text}")
        return replace(failure, text=f"{UNDONE}: {', '.join(names)}", code=None)

    def _keep_terms(self) -> None:
        """Have the next process know these terms, should it find the file bad."""
        if (state := self._keyterms.to_state()) == self._kept_terms:
            return
        self._journal.keep({"keyterms": state})
        self._kept_terms = state

    def _renew(self) -> None:
        base = self._settings.session
        base = with_terms(base, self._keyterms.terms) if self._keyterms.path else base
        profiles = self._settings.profiles
        self._session = self._changes.effective(base, profiles, self._model)
        self._told = pure.told(self._session)
        self._status = {
            **pure.described(self._changes, base, profiles, self._model),
            "keyterms_file": str(self._keyterms.path or ""),
            "problem": self._keyterms.problem,
        }
        lines = {"changes": pure.line(self._status), "in_force": pure.in_force(self._status)}
        self._shown = {"settings": self._status, **lines}
