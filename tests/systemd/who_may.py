"""Who may do what: every command, by everybody, in every state of the service, and what comes of it.

A row has a column for each state of the service, with a letter each for root, the service's own user and a
member of its group; what the letters stand for is in OUTCOMES. Anybody else is told in every state how to be
let in. `.` is whatever there is to say; what ANSWERS rules out is ruled out everywhere.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from simulator.coded import compose
from systemd.box import Box
from systemd.room import Room, launch

USERS: Final = ("root", "minuted", "mia", "olga")
STATES: Final = ("up", "down", "starting", "hung", "failed", "split")
STAY_S: Final = 2.0
"""A command that is to stay is ended after so long."""
ANSWER_S_MAX: Final = 25.0
SETTINGS: Final = "/etc/minuted/minuted.toml"
BAD: Final = "[capture_]\n"


class Outcome(NamedTuple):
    """An exit status, None for a command that stays until it is ended, and what it says."""

    status: int | None
    says: str = ""


LET_IN: Final = Outcome(
    78,
    f"{SETTINGS} is for root and the group minuted; to be let in, run: sudo usermod -aG minuted olga, "
    "and log in again",
)
OUTCOMES: Final[Mapping[str, Outcome]] = {
    "o": Outcome(0),
    "x": Outcome(1),
    "s": Outcome(None),
    "w": Outcome(None, "minuted is not running here (runtime_dir /run/minuted); start it: `"),
    "S": Outcome(1, "put sudo before the command"),
    "d": Outcome(1, "minuted is not running here (runtime_dir /run/minuted); start it: `"),
    "n": Outcome(1, "does not answer now (boardroom: starting"),
    "N": Outcome(None, "minuted is starting (boardroom: starting"),
    "h": Outcome(1, "minuted does not answer, though it runs (runtime_dir /run/minuted): `"),
    "v": Outcome(78, "` runs it"),
    "u": Outcome(78, "is already in use by another minuted (process"),
    "k": Outcome(78, "AssemblyAI key"),
    "p": Outcome(78, "engine.url: port 9310 of 127.0.0.1 is in use"),
    "z": Outcome(78, "there is no [sinks.nosuch] in the configuration"),
    "U": Outcome(2, "the recording /srv/none.wav does not exist"),
    "b": Outcome(78, f"{SETTINGS}: unknown key 'capture_'"),
    "r": Outcome(1, f"refused: {SETTINGS}: unknown key 'capture_'"),
    "R": Outcome(1, "each stage runs by itself here"),
}


class Row(NamedTuple):
    """A command, and its outcomes in each of STATES."""

    command: str
    up: str
    down: str
    starting: str
    hung: str
    failed: str = "bbb"
    split: str = ""
    """Unless given, as up."""


LOOKS: Final = (
    # Commands that change nothing. What `check` finds of a service that is down is tested elsewhere.
    Row("check", "ooo", "...", "...", "...", "bbb"),
    Row("devices", "ooo", "ooo", "ooo", "ooo", "ooo"),
    Row("sinks", "ooo", "ooo", "ooo", "ooo"),
    Row("status", "ooo", "ddd", "ooo", "hhh"),
    Row("status --json", "ooo", "ddd", "ooo", "hhh"),
    Row("metrics", "ooo", "ooo", "ooo", "ooo"),
    Row("metrics --listen 127.0.0.1:0", "sss", "sss", "sss", "sss"),
    Row("watch", "sss", "www", "sss", "sss"),
    Row("watch --until-end", "sss", "sss", "sss", "sss"),
    Row("speakers", "ooo", "ddd", "nnn", "hhh"),
    Row("meeting", "ooo", "ddd", "nnn", "hhh"),
    Row("configure", "ooo", "ddd", "nnn", "hhh"),
    Row("replay", "ooo", "ooo", "...", "..."),
    Row("replay --follow", "sss", "www", "...", "..."),
    Row("export", "ooo", "ooo", "...", "..."),
    Row("export --list", "ooo", "ooo", "...", "..."),
    Row("export --output minutes.txt", "ooo", "ooo", "...", "..."),
    Row("dead-letters list file_log", "ooo", "ooS", "ooo", "..S"),
    Row("dead-letters list nosuch", "zzz", "zzz", "zzz", "zzz"),
    Row("token", "kkk", "kkk", "kkk", "kkk"),
)
ACTS: Final = (
    # Commands that do something, in an order in which each finds what it needs.
    Row("reload", "ooS", "ddd", "NNS", "hhh", "rrr", "RRR"),
    Row("endpoint", "ooS", "ddd", "nnn", "hhh"),
    Row("pause --for 1m", "ooS", "ddd", "nnn", "xxx"),
    Row("resume", "ooS", "ddd", "nnn", "xxx"),
    Row("configure --max-turn-silence 2000", "ooS", "ddd", "nnn", "xxx"),
    Row("configure --reset", "ooS", "ddd", "nnn", "xxx"),
    Row("meeting start", "ooS", "ddd", "nnn", "xxx"),
    Row("meeting end", "ooS", "ddd", "nnn", "xxx"),
    Row("speakers A=Anna", "xxS", "ddd", "nnn", "hhh"),
    Row("dead-letters retry file_log --all", "ooS", "ooS", "ooS", "..S"),
    Row("dead-letters drop file_log 3", "xxS", "xxS", "xxS", "..S"),
    Row("keys new tablet-USER-STATE", "ooS", "ooS", "ooS", "ooS"),
    Row("keys list", "ooS", "ooS", "ooS", "ooS"),
    Row("keys revoke tablet-USER-STATE", "ooS", "ooS", "ooS", "ooS"),
    Row("token-server clients new room-USER", "ooS", "ooS", "ooS", "ooS"),
    Row("token-server clients list", "ooS", "ooS", "ooS", "ooS"),
    Row("token-server clients revoke room-USER", "ooS", "ooS", "ooS", "ooS"),
    Row("token-server", "kkk", "kkk", "kkk", "kkk"),
    Row("run", "vuv", "vvv", "vuv", "vuv"),
    Row("run --watch", "vuv", "vvv", "vuv", "vuv"),
    Row("run --input /srv/talk.wav", "kkk", "vvv", "kkk", "kkk"),
    Row("run --input /srv/none.wav", "UUU", "UUU", "UUU", "UUU"),
    Row("capture", "vuv", "vvv", "vuv", "vuv"),
    Row("transcription", "vuv", "vvv", "vuv", "vuv"),
    Row("delivery file_log", "vuv", "vvv", "vuv", "vuv"),
    Row("engine", "vpv", "vvv", "vpv", "vpv"),
)
OPEN: Final = ("devices",)
"""Commands for everybody."""
RUNNING: Final = ("reload", "endpoint", "pause", "resume", "configure", "meeting", "speakers", "run")
"""Commands for which something has to run, and those that start it."""
SILENT: Final = ("keys list", "dead-letters list file_log", "token-server clients list", "replay")
"""Commands that are done and may have nothing to say."""
NEVER: Final = re.compile(r"Errno|Traceback|Path\(|  File \"|chown mia|in its group")


def ask_all(room: Room, state: str) -> list[dict[str, Any]]:
    """Run every command by everybody: those that look at once, the others one after the other."""
    looks = [_asked(row, user, state) for row in LOOKS for user in USERS]
    acts = [_asked(row, user, state) for user in USERS for row in ACTS]
    if state not in ("up", "split"):
        # Where nothing is done, nobody is in another's way.
        looks += [row for row in acts if row["command"].split()[0] in RUNNING]
        acts = [row for row in acts if row["command"].split()[0] not in RUNNING]
    parts = [looks, *([row] for row in acts)]
    plan = {"parts": parts, "environment": {"ALSA_CONFIG_PATH": "/etc/minuted-asound.conf"}}
    (room.box.root / "srv/plan.json").write_text(json.dumps(plan), encoding="utf-8")
    printed = room.box.run("/srv/asking", "/srv/plan.json", timeout_s=300)
    return [json.loads(line) for line in printed.splitlines()]


def wrong(answers: Iterable[Mapping[str, Any]], state: str) -> list[str]:
    """Return the answers that are not as the table has them."""
    table = {row.command: row for row in (*LOOKS, *ACTS)}
    found = []
    for answer in answers:
        row = table[answer["command"]]
        expected = _expected(row, USERS.index(answer["user"]), state)
        said = answer["out"] + answer["err"]
        is_right = expected is None or (answer["status"] == expected.status and expected.says in said)
        waits = expected is None and answer["status"] is None and "--follow" not in row.command
        is_mute = not said.strip() and answer["status"] is not None and row.command not in SILENT
        if not is_right or is_mute or NEVER.search(said) or waits:
            found.append(f"{state}: {answer['user']}: {row.command}: {answer['status']}, {said[-700:]!r}")
    return found


def _expected(row: Row, number: int, state: str) -> Outcome | None:
    """Return what is to come of a command; None where that is tested elsewhere."""
    if number == len(USERS) - 1:
        return OUTCOMES["o"] if row.command in OPEN else LET_IN
    letter = (getattr(row, state) or row.up)[number]
    return OUTCOMES[letter] if letter != "." else None


def _asked(row: Row, user: str, state: str) -> dict[str, Any]:
    expected = _expected(row, USERS.index(user), state)
    stays = expected is not None and expected.status is None
    words = row.command.replace("USER", user).replace("STATE", state).split()
    bound_s = STAY_S if stays or "--follow" in words else ANSWER_S_MAX
    return {"command": row.command, "user": user, "words": words, "bound_s": bound_s}


def seed_asking(box: Box) -> None:
    launch(box, "/srv/asking", "-m systemd.asking")


def prepare_users(room: Room) -> None:
    """Make a member of the group, and somebody who is none; all have a folder of their own."""
    room.box.run("useradd", "--system", "--groups", "minuted", "mia")
    room.box.run("useradd", "--system", "olga")
    for user in USERS:
        room.box.run("install", "-d", "-o", user, f"/srv/homes/{user}")
    compose(1, words=(3, 3), tail_ms=800).save(room.box.root / "srv/talk.wav")
