"""Which of a sink's methods is for what."""

from collections.abc import Callable

from minuted.journal.cursor import DeadLetter
from minuted.messages import Gap, MalformedMessageError, Record, Turn, from_map
from minuted.sink import Sink


def shows_partials(cls: type[Sink]) -> bool:
    """Whether a sink wants turns that may still change."""
    return cls.partial is not Sink.partial


def prepares(cls: type[Sink]) -> bool:
    """Whether the tries of a record are to have something in common."""
    return cls.prepare is not Sink.prepare


def takes_several(cls: type[Sink]) -> bool:
    """Whether a sink has a use for several revisions at once."""
    return cls.revise_all is not Sink.revise_all and not prepares(cls)


def name_of(record: Record) -> str:
    """Return the name of the method that delivers a record."""
    if isinstance(record, Gap):
        return "gap"
    return "revise" if record.type == "revision" else "write"


def method_for(sink: Sink, record: Record) -> Callable[[], None]:
    """Give the call that delivers a record; a sink that does not care for its kind has an empty one."""
    if isinstance(record, Gap):
        return lambda: sink.gap(record)
    if record.type == "revision":
        return lambda: sink.revise(record)
    return lambda: sink.write(record)


def record_of(letter: DeadLetter) -> Record:
    """Give a dead letter's record. Raises MalformedMessageError."""
    message = from_map(letter.record)
    if not isinstance(message, Turn | Gap):
        raise MalformedMessageError("a dead letter that is no record")
    return message
