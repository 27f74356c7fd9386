"""`minuted transcription`: hold the streaming session, publish turns."""

import sys
from contextlib import ExitStack
from typing import Final

import structlog

from minuted import models
from minuted.bus import FramesIn, ReplayServer, TurnsOut
from minuted.cli import main
from minuted.config import ConfigError, Settings, require_credentials
from minuted.control import ControlServer, done, refusing
from minuted.journal.sound_clock import SoundClock
from minuted.journal.turns import TurnJournal
from minuted.keys import doors
from minuted.runtime import notify, signals
from minuted.transcription.cost import SpentError
from minuted.transcription.publisher import Publisher
from minuted.transcription.sounds import sounds_of
from minuted.transcription.transcriber import Transcriber

SPENT: Final = 74
"""The exit status when a recording has used up the day's limit: the supervisor knows it, too."""

log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Work until SIGTERM, then drain; give the exit status."""
    require_credentials(settings)
    if settings.capture.pace == "fast" and settings.service != "local":
        raise ConfigError('capture.pace = "fast" needs the local engine: the service refuses fast audio')
    turns_door, replay_door = doors(settings)
    # The sockets' locks keep a second process away from the journal.
    with (
        ExitStack() as sockets,
        TurnsOut(settings.turns_endpoint, turns_door) as turns,
        ReplayServer(settings.replay_endpoint, replay_door) as replay,
    ):
        frames = {
            source.name: sockets.enter_context(FramesIn(settings.frames_of(source.name)))
            for source in settings.sources
        }
        audio_folders = [settings.audio_dir(source.name) for source in settings.sources]
        sound_clock = SoundClock(settings.state_dir, audio_folders)
        sound_clock.look()
        journal = TurnJournal(settings.state_dir / "turns.db", sound_clock.steady_ms, _tell_of_wait)
        sounds = sounds_of(settings, frames, journal)
        transcriber = Transcriber(settings, Publisher(turns, replay, journal), sounds, sound_clock)
        stop = signals.stop_event(on_stop=transcriber.wake)
        signals.on_leave(transcriber.leave)
        control = ControlServer(
            settings.control_endpoint("transcription"),
            {
                "status": lambda _: transcriber.status(),
                "drain": done(transcriber.drain),
                "endpoint": lambda _: {"turns": transcriber.force_endpoint()},
                "configure": transcriber.wish,
                "meeting": transcriber.wish,
                "answer": transcriber.wishes.answer,
                "speakers": refusing(transcriber.revisions.tell),
                "name-speakers": refusing(transcriber.revisions.ask),
            },
        )
        if settings.service == "assemblyai" and (note := models.warning(settings.session.speech_model)):
            log.warning("model_deprecated", model=settings.session.speech_model, reason=note)
        log.info("transcription_ready", service=settings.service, last_seq=journal.last_seq)
        if len(frames) > 1 and settings.service != "local":
            log.warning("billed_for_each_source", sources=list(frames), times=len(frames))
        notify.ready(f"ready, {settings.service}")
        try:
            return 0 if transcriber.run(stop) else 1
        except SpentError as error:
            log.error("not_drained", reason=str(error))
            notify.status(str(error))
            return SPENT
        finally:
            notify.stopping()
            control.close()
            # Subscribers get what is on its way to them.
            turns.close(linger_ms=1000)
            journal.close()


def _tell_of_wait(text: str) -> None:
    log.warning("journal_in_use", reason=text)
    notify.status(text)


if __name__ == "__main__":
    sys.exit(main(["transcription", *sys.argv[1:]]))
