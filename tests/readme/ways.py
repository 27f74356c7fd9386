"""How each command and each block of README.md is run. A new one is put into WAYS here, by its own text.

`short` ones run in `make test` (here, in a new folder), all in `make test-readme` (on a fresh machine).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from readme.lines import README, Piece, pieces
from readme.machines import KEY, PORT, Here, Machine, speech
from simulator.coded import Recording, compose
from waiting import until

SERVICE: Final = f'[engine]\nservice = "assemblyai"\nurl = "ws://127.0.0.1:{PORT}"\n'
"""The simulated service in the place of the vendor's."""
TURNS: Final = "/var/lib/minuted/turns.jsonl"
INSTALL_S_MAX: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a piece is run: as it stands, with `put` in the places of an example's names."""

    shows: str = ""
    """A pattern in its output."""
    put: Mapping[str, str] = field(default_factory=dict)
    user: str = "me"
    status: int | None = 0
    short: bool = False
    act: Callable[[Machine, str], None] | None = None
    """What is done instead of running it to its end."""
    timeout_s: float = 120.0


def run(machine: Machine, piece: Piece, way: Way) -> None:
    text = piece.text
    for example, ours in way.put.items():
        assert example in text, f"{example!r} is not in {text!r}"
        text = text.replace(example, ours.format(**machine.notes))
    if way.act:
        way.act(machine, text)
        return
    shown = machine.run(text, way.user, way.status, way.timeout_s)
    assert re.search(way.shows, shown), f"{way.shows!r} is not in the output of {text}:\n{shown}"


def way_of(piece: Piece) -> Way | None:
    """Return how a piece is run: a command is found by its whole text, a block by a text that is in it."""
    if piece.language == "sh":
        return WAYS.get(("sh", piece.text))
    found = [key for key in WAYS if key[0] == piece.language and key[1] in piece.text]
    if len(found) > 1:
        raise ValueError(f"{piece.name}: several ways: {found}")
    return WAYS[found[0]] if found else None


def block(language: str, part: str) -> str:
    """Return README's one block of a language with a text in it."""
    (piece,) = (
        each
        for each in pieces(README.read_text(encoding="utf-8"))
        if each.language == language and part in each.text
    )
    return piece.text


# What is said into the microphone, and what becomes of it.


def hear(machine: Machine, turns: int = 1, speakers: int = 1) -> list[str]:
    """Say words that were never said before, wait for the last of them, and return all."""
    number = machine.notes["said"] = machine.notes.get("said", 0) + 1
    talk = compose(turns, words=(3, 3), tail_ms=1500, first_number=100 * number + 1, speakers=speakers)
    machine.notes["speak"](talk)
    words = [word.text for word in talk.words]
    until(lambda: words[-1] in machine.read(TURNS), f"{words[-1]} in {TURNS}")
    return words


def is_live(machine: Machine, user: str) -> bool:
    shown = machine.run("minuted status --json", user, status=None)
    try:
        stages = json.loads(shown)["stages"]
    except (ValueError, KeyError):
        return False
    heard = [stage.get("state") for name, stage in stages.items() if name.partition("/")[0] == "capture"]
    return stages.get("transcription", {}).get("state") == "live" and set(heard) <= {"hearing", "silent"}


def restart(machine: Machine) -> None:
    machine.run("systemctl restart minuted", "root")
    until(lambda: is_live(machine, "root"), "a live session")


# Blocks of configuration.


def configure(machine: Machine, text: str) -> None:
    machine.configure(text)
    shown = machine.run("minuted check", "root" if machine.notes.get("service") else "me", status=None)
    assert re.search(r"✓ configuration", shown), shown


def configure_and_restart(machine: Machine, text: str) -> None:
    machine.configure(text)
    if machine.is_fresh:
        restart(machine)
        hear(machine)


def two_sources(machine: Machine, text: str) -> None:
    machine.configure(text, without="capture.device")
    restart(machine)
    stages = json.loads(machine.run("minuted status --json", "root"))["stages"]
    assert {"capture/table", "capture/far"} <= stages.keys()
    words = hear(machine)
    record = next(json.loads(line) for line in machine.read(TURNS).splitlines() if words[0] in line)
    assert record["channel"] == "table"
    machine.configure('[capture]\ndevice = "Jabra"\n', without="capture.sources")
    restart(machine)


def another_host(machine: Machine, text: str) -> None:
    """That host is not to be had here: tests/transcription/test_hosts.py opens sessions at each."""
    before = json.loads(json.dumps(machine.settings))
    machine.configure(text)
    shown = machine.run(f"ASSEMBLYAI_API_KEY={KEY} minuted check", "root", status=None)
    assert "wss://streaming.eu.assemblyai.com" in shown, shown
    assert "universal-3-6-pro" in machine.read(machine.config_file)
    machine.settings = before
    machine.configure("")


def money(machine: Machine, text: str) -> None:
    configure(machine, text)
    if machine.is_fresh:
        machine.run("systemctl reload minuted", "root")
        until(lambda: re.search(r"\$", machine.run("minuted status", "root")), "dollars in the status")


# In a checkout.


def make_small(line: str) -> Callable[[Machine, str], None]:
    def act(machine: Machine, _: str) -> None:
        machine.run(line, timeout_s=INSTALL_S_MAX)

    return act


def packages_named(machine: Machine, _: str) -> None:
    """Install what the text below the commands says they need, then run the first of them."""
    text = README.read_text(encoding="utf-8").partition("## In a checkout")[2].partition("\n## ")[0]
    for command in re.findall(r"`(?:Debian: )?(apt-get install [^`]*)`", text):
        machine.run(command, "root", timeout_s=INSTALL_S_MAX)
    shown = machine.run("make demo", timeout_s=INSTALL_S_MAX)
    assert "The same words went to three sinks" in shown, shown


# By hand.


def export_path(machine: Machine, line: str) -> None:
    machine.path = machine.run(f"{line}; echo $PATH").strip().splitlines()[-1]  # type: ignore[attr-defined]
    assert machine.run("command -v minuted").strip() == "/home/me/.local/lib/minuted/bin/minuted"
    machine.folders["me"] = "/home/me"  # type: ignore[attr-defined]


def first_configuration(machine: Machine, text: str) -> None:
    machine.configure(text)
    machine.write("/home/me/minuted.toml", text)


def init(machine: Machine, line: str) -> None:
    """Without its questions: tests/commands/test_init.py answers them."""
    shown = machine.run(f"{line} --yes --sink file_log=/home/me/minuted/turns.jsonl", status=None)
    assert "Wrote /home/me/minuted.toml" in shown, shown


def run_and_watch(machine: Machine, line: str) -> None:
    with machine.running(line) as run:
        until(lambda: is_live(machine, "me"), "a live session")
        machine.notes["read aloud"]()
        run.shows("(?i)best of times")
        assert run.interrupt() == 0
    assert re.search("(?i)best of times", machine.read("/home/me/minuted/turns.jsonl"))


def run_a_recording(machine: Machine, line: str) -> None:
    home = machine.place("/home/me")
    speech(home, "talk.wav", 4.0)
    shown = machine.run(line)
    assert re.search("(?i)best of times|talk.txt", shown), shown
    assert re.search("(?i)best of times", machine.read("/home/me/minuted/turns.jsonl"))


def run_recordings(machine: Machine, line: str) -> None:
    home = machine.place("/home/me")
    speech(home / "talks", "mon.wav", 4.0)
    speech(home / "talks", "tue.flac", 4.0)
    speech(home, "interview.mp3", 4.0)
    assert "3 of 3 recordings done" in machine.run(line)
    for name in ("talks/mon", "talks/tue", "interview"):
        for ending in ("srt", "vtt", "txt", "json"):
            assert "best of times" in machine.read(f"/home/me/{name}.{ending}").lower(), name


def find_a_meeting(machine: Machine, line: str) -> None:
    shown = machine.run(line)
    meeting, _ = re.findall(r"^([0-9a-f]{16})  .* (\d+) turn", shown, re.MULTILINE)[-1]
    machine.notes["meeting"] = meeting[:6]


def follow_with_jq(machine: Machine, line: str) -> None:
    if machine.is_fresh:
        machine.run("apt-get install jq", "root", timeout_s=INSTALL_S_MAX)
    # On a terminal, which this is not, it writes each line at once.
    with machine.running(line.replace("jq", "stdbuf -oL jq")) as run:
        run.shows("(?i)best of times")


# The service.


def install(machine: Machine, line: str) -> None:
    machine.folders["root"] = "/home/me/checkout"  # type: ignore[attr-defined]
    shown = machine.run(line, "root", timeout_s=INSTALL_S_MAX)
    machine.folders["root"] = "/root"  # type: ignore[attr-defined]
    assert "minuted is running" in shown, shown
    assert "left" not in machine.run("find /opt/minuted -name pyvenv.cfg -maxdepth 1", "root")
    machine.config_file = "/etc/minuted/minuted.toml"
    machine.notes["service"] = True
    kept = "/etc/credstore/assemblyai.key"
    machine.write(kept, KEY + "\n")
    machine.place(kept).chmod(0o600)
    machine.settings = {}
    machine.configure(
        f'room = "boardroom"\n{SERVICE}[capture]\ndevice = "Jabra"\n[sinks.file_log]\npath = "{TURNS}"\n'
    )
    restart(machine)
    hear(machine)


def let_in(machine: Machine, line: str) -> None:
    assert machine.run("minuted status", "me", status=None, timeout_s=30).count("transcription") == 0
    machine.run(line, "root")
    assert "transcription" in machine.run(
        "/usr/local/bin/minuted status --config /etc/minuted/minuted.toml", "me"
    )


def is_active(machine: Machine, *units: str) -> bool:
    shown = machine.run(f"systemctl is-active {' '.join(units)}", "root", status=None).split()
    return shown == ["active"] * len(units)


SPLIT: Final = ("minuted-capture", "minuted-transcription", "minuted-sink@file_log")


def start_split(machine: Machine, line: str) -> None:
    machine.run(line, "root")
    until(lambda: is_active(machine, *SPLIT), "the stages of minuted.target")
    until(lambda: is_live(machine, "root"), "a live session")
    hear(machine)


def add_to_split(machine: Machine, line: str) -> None:
    machine.configure('[sinks.srt]\ndirectory = "/var/lib/minuted/srt"\n')
    start_split(machine, line)
    until(lambda: is_active(machine, "minuted-sink@srt"), "the stage that was added")


def back_to_one(machine: Machine, line: str) -> None:
    machine.run(line, "root")
    assert not is_active(machine, "minuted.target")
    until(lambda: is_live(machine, "root"), "a live session")
    hear(machine)


# Speakers, clients, tokens.


def labels(machine: Machine, text: str) -> None:
    machine.configure(text)
    if machine.is_fresh:
        restart(machine)
        machine.run("minuted meeting start", "root")
        hear(machine, turns=4, speakers=2)


def another_session(machine: Machine, line: str) -> None:
    restart(machine)
    hear(machine, turns=4, speakers=2)
    machine.run(line, "root")


def find_its_id(machine: Machine, line: str) -> None:
    records = [json.loads(each) for each in machine.read(machine.notes.get("turns", TURNS)).splitlines()]
    meeting = next(each["meeting_id"] for each in reversed(records) if each.get("meeting_id"))
    assert "chair" in machine.run(line.replace("ID", meeting), "root")


def publish(machine: Machine, line: str) -> None:
    """`[publish] turns = …` stands in the text above the commands."""
    text = README.read_text(encoding="utf-8").partition("### Over the network")[2]
    (address,) = set(re.findall(r'`\[publish\] turns = "(tcp://[^"]+)"`', text))
    machine.run(line, "root")
    machine.configure(f'[publish]\nturns = "{address}"\n')
    restart(machine)
    told = json.loads(machine.read(f"{machine.folders['root']}/signage.json"))
    host = machine.run("hostname", "root").strip()
    told = {name: value.replace(host, "127.0.0.1") for name, value in told.items()}
    with machine.notes["elsewhere"]("deploy/subscribers/network.py", told) as subscriber:
        words = hear(machine)
        # What was said before comes first.
        assert any(words[0] in line for line in iter(subscriber, ""))


def revoke(machine: Machine, line: str) -> None:
    machine.run(line, "root")
    assert "signage" not in machine.run("minuted keys list", "root")
    machine.configure("", without="publish")
    restart(machine)


def new_client(machine: Machine, line: str) -> None:
    machine.run(line, "root")
    secret = "/etc/minuted/boardroom.secret"
    machine.run(f"install -g minuted -m 640 boardroom.secret {secret}", "root")


def serve_tokens(machine: Machine, line: str) -> None:
    with machine.running(line, "root", ASSEMBLYAI_API_KEY=KEY) as server:
        server.shows("8970")
        assert server.interrupt() == 0


def ask_for_tokens(machine: Machine, text: str) -> None:
    """With the unit that the comment names instead of the command."""
    machine.run("systemctl enable --now minuted-token-server", "root")
    machine.configure(text)
    restart(machine)
    hear(machine)
    assert len(machine.run("minuted token", "root").split()) == 1
    machine.run("systemctl disable --now minuted-token-server", "root")
    for key in ("engine.token_url", "engine.token_secret_file", "token_server"):
        machine.configure("", without=key)
    restart(machine)


# Metrics, sinks, subscribers.


def serve_metrics(machine: Machine, line: str) -> None:
    machine.notes["metrics"] = line.rsplit(maxsplit=1)[-1]
    with machine.running(line, "root") as server:
        until(lambda: "minuted_up 1.0" in scrape(machine, machine.notes["metrics"]), "the metrics")
        assert server.interrupt() == 0


def scrape(machine: Machine, address: str) -> str:
    get = f"from urllib.request import urlopen; print(urlopen('http://{address}/metrics').read().decode())"
    return machine.run(f'python3 -c "{get}"', "root", status=None)


def prometheus(machine: Machine, text: str) -> None:
    """Prometheus itself is not here: the address it would ask is where the metrics are."""
    (target,) = re.findall(r'targets: \["([^"]+)"\]', text)
    assert target == machine.notes["metrics"]
    if machine.is_fresh:
        machine.run("systemctl enable --now minuted-metrics", "root")
        until(lambda: "minuted_up 1.0" in scrape(machine, target), "the metrics of the unit")


def save_the_sink(machine: Machine, text: str) -> None:
    machine.write("/usr/local/lib/minuted/sinks/text_log.py", text)
    machine.configure("[sinks.text_log]\n")
    restart(machine)
    words = hear(machine)
    until(lambda: words[-1] in machine.read("/var/lib/minuted/meeting.txt"), "the words in meeting.txt")


def subscribe(machine: Machine, text: str) -> None:
    """As somebody of the group, with a Python that has the two libraries."""
    machine.write("/home/me/subscriber.py", text)
    with machine.running("python -u subscriber.py") as subscriber:
        if "Subscription" in text:
            subscriber.shows(r"(?m)^1 turn$")
        else:
            # A subscriber that comes late hears the next turn; how late it comes nobody knows.
            until(lambda: hear(machine) and subscriber.output, "a turn")


# Chapters: what has to be there while the lines below a heading are run.


@contextmanager
def while_it_runs(machine: Machine) -> Iterator[None]:
    """A daemon with a session open, and what the commands name."""
    profile = block("toml", "[profiles.interview]")
    terms = "# names\nmetformin\n"
    machine.write("/home/me/terms.txt", terms)
    machine.write("/etc/minuted/terms.txt", terms)
    machine.configure(SERVICE + profile)
    with a_daemon(machine):
        yield


@contextmanager
def who_speaks(machine: Machine) -> Iterator[None]:
    if machine.is_fresh:
        yield
        return
    machine.configure(SERVICE + block("toml", "speaker_labels = true"))
    with a_daemon(machine):
        until(lambda: {"A", "B"} <= set(machine.run("minuted speakers", status=None).split()), "two speakers")
        machine.notes["turns"] = "/home/me/minuted/turns.jsonl"
        yield


@contextmanager
def metrics(machine: Machine) -> Iterator[None]:
    if machine.is_fresh:
        yield
        return
    with a_daemon(machine):
        yield


@contextmanager
def tokens(machine: Machine) -> Iterator[None]:
    """A certificate of a name that leads here; the configuration comes before the command that needs it."""
    machine.notes["certify"]("tokens.example.org")
    machine.configure(block("toml", "[token_server]"))
    yield


@contextmanager
def a_daemon(machine: Machine) -> Iterator[None]:
    line = "minuted run"
    if isinstance(machine, Here):
        talk = compose(40, words=(4, 5), speakers=2, seed=3, turn_pause_ms=(600, 800))
        talk.save(machine.place("/home/me/long.wav"))
        line = "minuted run --input long.wav --pace real-time"
    with machine.running(line, ASSEMBLYAI_API_KEY=KEY):
        until(lambda: is_live(machine, "me"), "a live session")
        yield


CHAPTERS: Final[Mapping[str, Callable]] = {
    "While it runs": while_it_runs,
    "Who speaks, and in which language": who_speaks,
    "No key in the room": tokens,
    "Metrics": metrics,
}
OF_THE_SERVICE: Final = Way(user="root")

WAYS: Final[Mapping[tuple[str, str], Way]] = {
    ("sh", "make demo"): Way(act=packages_named),
    # What runs this cannot run itself.
    ("sh", "make test"): Way(act=make_small("make --dry-run test"), short=False),
    ("sh", "make test-systemd"): Way(act=make_small("make --dry-run test-systemd")),
    ("sh", "make test-readme"): Way(act=make_small("make --dry-run test-readme")),
    ("sh", "make damage N=2000 SEED=1"): Way(act=make_small("make damage N=2 SEED=1")),
    ("sh", "make kills"): Way(act=make_small("make kills N=4")),
    ("sh", "make floods"): Way(act=make_small("make floods FLOOD_S=1 FLOOD_CONNECTIONS=200")),
    ("sh", "make soak"): Way(act=make_small("make soak HOURS=0.05")),
    # By hand.
    ("sh", "apt-get install python3-venv libportaudio2 ca-certificates"): Way(
        user="root", timeout_s=INSTALL_S_MAX
    ),
    ("sh", "python3 -m venv ~/.local/lib/minuted"): Way(timeout_s=INSTALL_S_MAX),
    ("sh", "~/.local/lib/minuted/bin/pip install '.[local]'"): Way(timeout_s=INSTALL_S_MAX),
    ("sh", "export PATH=~/.local/lib/minuted/bin:$PATH"): Way(act=export_path),
    ("sh", "minuted init"): Way(act=init),
    ("toml", "# minuted.toml\nroom ="): Way(act=first_configuration, short=True),
    ("sh", "minuted check"): Way(shows="✓ configuration", status=None, short=True),
    ("sh", "minuted run --watch"): Way(act=run_and_watch),
    ("sh", "minuted run --watch --input talk.wav"): Way(act=run_a_recording),
    ("sh", "minuted run --input talks/ interview.mp3 --pace fast"): Way(act=run_recordings),
    ("sh", "minuted run --input talks/ --write srt,md --output-dir texts/"): Way(
        shows="2 of 2 recordings done"
    ),
    ("sh", "minuted run --input talk.wav --write txt"): Way(act=run_a_recording, short=True),
    ("sh", "minuted export --list"): Way(act=find_a_meeting, short=True),
    ("sh", "minuted export"): Way(shows="(?i)best of times", short=True),
    ("sh", "minuted export --meeting 9cbf --format srt --output board.srt"): Way(
        put={"9cbf": "{meeting}"}, short=True
    ),
    ("sh", "minuted export --from 09:30 --to 11:00 --format md"): Way(
        put={"09:30": "00:00", "11:00": "23:59"}, shows="(?i)best of times", short=True
    ),
    ("sh", "minuted replay --from-seq 120 --to-seq 180 > again.jsonl"): Way(
        put={"120": "1", "180": "1"}, short=True
    ),
    ("sh", "minuted replay --follow | jq -r .text"): Way(act=follow_with_jq),
    # While it runs.
    ("sh", "minuted configure --max-turn-silence 2000 --keyterm metformin --keyterm Siobhan"): Way(
        short=True
    ),
    ("sh", 'minuted configure --keyterms-file terms.txt --prompt "A ward round in cardiology."'): Way(
        short=True
    ),
    ("sh", "minuted configure --profile interview --until-restart"): Way(short=True),
    ("sh", "minuted configure --clear keyterms_prompt"): Way(short=True),
    ("sh", "minuted configure --reset"): Way(short=True),
    ("sh", "minuted configure"): Way(shows="max_turn_silence", short=True),
    ("toml", "[profiles.interview]"): Way(act=configure, short=True),
    ("sh", 'minuted meeting start --title "Budget 2027"'): Way(short=True),
    ("sh", "minuted meeting end"): Way(short=True),
    ("sh", "minuted endpoint"): Way(short=True),
    # As a service.
    ("sh", "deploy/install.sh"): Way(act=install),
    ("sh", "systemctl status minuted"): Way(user="root", shows="boardroom: recording"),
    ("sh", "journalctl -u minuted MINUTED_STAGE=capture"): Way(user="root", shows="capture"),
    ("sh", "systemctl reload minuted"): OF_THE_SERVICE,
    ("sh", "usermod -aG minuted NAME"): Way(act=let_in, put={"NAME": "me"}),
    ("sh", "systemctl disable --now minuted"): OF_THE_SERVICE,
    ("sh", "systemctl enable --now minuted.target"): Way(act=start_split),
    ("sh", "systemctl status 'minuted-*'"): Way(user="root", shows="minuted-transcription.service"),
    ("sh", "systemctl daemon-reload && systemctl restart minuted.target"): Way(act=add_to_split),
    ("sh", "systemctl disable --now minuted.target"): OF_THE_SERVICE,
    ("sh", "systemctl enable --now minuted"): Way(act=back_to_one),
    ("toml", "speaker_labels = true"): Way(act=labels, short=True),
    ("sh", "minuted speakers"): Way(user="root", shows="(?m)^ *A ", short=True),
    ("sh", 'minuted speakers A=chair "B=Anna Maier"'): Way(user="root", short=True),
    ("sh", "minuted speakers A2=chair"): Way(act=another_session),
    ("sh", "minuted speakers B="): Way(user="root", short=True),
    ("sh", "minuted speakers --meeting ID --json"): Way(act=find_its_id, short=True),
    ("toml", "[[capture.sources]]"): Way(act=two_sources),
    ("toml", "idle_after_s = 60"): Way(act=configure, short=True),
    ("sh", "minuted keys new signage --output signage.json"): Way(act=publish),
    ("sh", "minuted keys revoke signage"): Way(act=revoke),
    ("sh", "pip install 'minuted[token-server]'"): Way(timeout_s=INSTALL_S_MAX),
    ("sh", "minuted token-server clients new boardroom --output boardroom.secret"): Way(act=new_client),
    ("sh", "minuted token-server"): Way(act=serve_tokens),
    ("toml", "[token_server]"): Way(act=configure),
    ("toml", "token_url ="): Way(act=ask_for_tokens),
    ("toml", "wss://streaming.eu.assemblyai.com"): Way(act=another_host),
    ("toml", "[cost]"): Way(act=money, short=True),
    ("sh", "minuted metrics"): Way(user="root", shows="minuted_up 1.0", short=True),
    ("sh", "minuted metrics > minuted.new && mv minuted.new minuted.prom"): Way(user="root", short=True),
    ("sh", "minuted metrics --listen 127.0.0.1:9464"): Way(act=serve_metrics, short=True),
    ("yaml", "scrape_configs:"): Way(act=prometheus, short=True),
    ("python", "class TextLog(Sink)"): Way(act=save_the_sink),
    ("python", "zmq.SUB"): Way(act=subscribe),
    ("python", "Subscription("): Way(act=subscribe),
}


def tell(machine: Machine, wanted: Callable[[Piece, Way], bool], said: Callable[[str], None]) -> None:
    """Run README's pieces in their order, as far as they are wanted."""
    with ExitStack() as stack:
        chapter, heading = stack.enter_context(ExitStack()), ""
        for piece in pieces(README.read_text(encoding="utf-8")):
            way = way_of(piece)
            if way is None or not wanted(piece, way):
                continue
            said(piece.name)
            if piece.heading != heading:
                chapter.close()
                heading = piece.heading
                if heading in CHAPTERS:
                    chapter.enter_context(CHAPTERS[heading](machine))
            try:
                run(machine, piece, way)
            except BaseException as error:
                error.add_note(f"This is {piece.name}; how it is run stands in tests/readme/ways.py.")
                raise


def never_run(text: str) -> list[str]:
    """Name the pieces of a README for which there is no way."""
    return [piece.name for piece in pieces(text) if way_of(piece) is None]


def not_there(text: str) -> list[str]:
    """Name the ways of which there is no piece."""
    there = list(pieces(text))
    return [
        f"{language}: {part}"
        for language, part in WAYS
        if not any(
            piece.language == language and (piece.text == part if language == "sh" else part in piece.text)
            for piece in there
        )
    ]


def speak_coded(speak: Callable[[bytes], None]) -> Callable[[Recording], None]:
    return lambda talk: speak(talk.pcm)
