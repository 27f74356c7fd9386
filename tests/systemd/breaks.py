"""What befalls an installed service, each with what `minuted check` is to say of it and what mends it."""

# ruff: noqa: E501  # what is said, and commands, are one line each
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from systemd.room import CONFIG, KEY, PORT, Room

STATE: Final = "/var/lib/minuted"
ETC: Final = "/etc/minuted"
MENDED: Final = "rm -rf /etc/minuted/broken* /srv/broken* /var/lib/minuted/broken* /etc/minuted/.env"


@dataclass(frozen=True)
class Break:
    """A way to break a service. What is done here is undone by `Bench.mend`."""

    name: str
    says: str
    """What the line of what is wrong has, as a regular expression: the thing and the cure."""
    shell: str = ""
    """Commands that break it."""
    config: str = ""
    """What its configuration has besides."""
    first: str = ""
    """What stands before everything else of the configuration."""
    unit: str = ""
    """Lines of an override of its unit."""
    key: str | None = KEY
    """The key in the credential store."""
    instead: tuple[str, str] = ("", "")
    """What of the configuration is replaced by what."""
    beside: str = ""
    """A service that is enabled beside it."""
    also: str = "^$"
    """Other lines that are wrong for the same reason."""
    alone: bool = False
    """It hides what else is wrong."""
    mend: str = ""
    """Commands that mend what the bench would not."""


LISTENER: Final = (
    "systemd-run --quiet --unit=broken-listener --service-type=exec /usr/bin/python3 -c "
    "\"import socket, time; s = [socket.create_server(('', p)) for p in (5555, 9464, 8970)]; time.sleep(600)\"; "
    "for i in $(seq 100); do /usr/bin/python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8970))\""
    " 2>/dev/null && break; sleep 0.05; done"
)
CERTIFICATE: Final = (
    "cd /etc/minuted && openssl req -x509 -newkey rsa:2048 -nodes -keyout broken.key -out broken.pem -subj /CN=room "
    "-days 30 2>/dev/null && chmod 644 broken.key broken.pem"
)
TLS: Final = '[token_server]\ncertificate = "broken.pem"\nprivate_key = "broken.key"\n'

BREAKS: Final = (
    Break(
        "a file of root's in state_dir",
        r"✗ state_dir .*/var/lib/minuted/audio/broken\.seg cannot be used, as root made it; run: sudo "
        r"chown -R minuted: /var/lib/minuted",
        "install -d -o minuted /var/lib/minuted/audio; touch /var/lib/minuted/audio/broken.seg; chmod 600 "
        "/var/lib/minuted/audio/broken.seg",
        mend="rm -rf /var/lib/minuted/audio",
    ),
    Break(
        "a sink's path that is read-only in the sandbox",
        r"✗ sink elsewhere .*/srv/broken/x\.jsonl cannot be written: /srv/broken is read-only here; run: systemctl "
        r"edit minuted, and write: \[Service\], and below it ReadWritePaths=/srv/broken",
        "install -d -o minuted /srv/broken",
        '[sinks.elsewhere]\nuse = "file_log"\npath = "/srv/broken/x.jsonl"\n',
    ),
    Break(
        "a sink's path in a home folder",
        r"✗ sink home .*/root/x\.jsonl .*minuted may not go through /root.* \(ProtectHome=\)",
        config='[sinks.home]\nuse = "file_log"\npath = "/root/x.jsonl"\n',
    ),
    Break(
        "a sink's path that is a folder",
        r"✗ sink folder .*/var/lib/minuted is a folder: name a file in it",
        config='[sinks.folder]\nuse = "file_log"\npath = "/var/lib/minuted"\n',
    ),
    Break(
        "a sink's path that is a pipe",
        r"✗ sink pipe .*/var/lib/minuted/broken-pipe is no regular file: remove it",
        "mkfifo /var/lib/minuted/broken-pipe",
        '[sinks.pipe]\nuse = "file_log"\npath = "/var/lib/minuted/broken-pipe"\n',
    ),
    Break(
        "a sink's path that is a link to nowhere",
        r"✗ sink dangling .*/broken-link, a link to /var/lib/minuted/gone/x, .* run: mkdir -p /var/lib/minuted/gone",
        "ln -sf /var/lib/minuted/gone/x /var/lib/minuted/broken-link",
        '[sinks.dangling]\nuse = "file_log"\npath = "/var/lib/minuted/broken-link"\n',
    ),
    Break(
        "two sinks with one path, by other names",
        r"✗ sink twin .*: sink file_log writes there too; give each a place of its own",
        config='[sinks.twin]\nuse = "file_log"\npath = "/var/lib/./minuted/../minuted/turns.jsonl"\n',
    ),
    Break(
        "a folder of subtitles that two sinks share",
        r"✗ sink twins .*: sink srt writes there too; give each a place of its own",
        config='[sinks.twins]\nuse = "srt"\ndirectory = "/var/lib/minuted/srt"\n',
    ),
    Break(
        "no room left for state_dir",
        r"✗ disk .* MB free for state_dir in /srv/broken-full: nothing can be kept; make room there",
        "mkdir -p /srv/broken-full; mount -t tmpfs -o size=1m,uid=minuted,mode=750 x /srv/broken-full; "
        "head -c 1M /dev/zero > /srv/broken-full/all; true",
        first='state_dir = "/srv/broken-full"\n',
        unit="ReadWritePaths=/srv/broken-full",
        mend="umount /srv/broken-full",
        alone=True,
    ),
    Break(
        "the port of the turn socket in use",
        r"✗ turn socket .*publish\.turns: port 5555 of 0\.0\.0\.0 cannot be used: Address already in use; who has it",
        f"{LISTENER}; cd /tmp && /opt/minuted/current/bin/minuted keys new tablet; "
        "chown -R minuted: /var/lib/minuted/keys",
        '[publish]\nturns = "tcp://0.0.0.0:5555"\n',
        unit="RestrictAddressFamilies=AF_NETLINK",
        mend="systemctl stop broken-listener; rm -rf /var/lib/minuted/keys /tmp/tablet.key.json",
    ),
    Break(
        "the port of the metrics in use",
        r"✗ metrics .*minuted-metrics: port 9464 of 127\.0\.0\.1 cannot be used: Address already in use",
        f"systemctl is-active broken-listener >/dev/null || {{ {LISTENER}; }}",
        beside="minuted-metrics",
        mend="systemctl stop broken-listener 2>/dev/null; true",
    ),
    Break(
        "the port of the token server in use",
        r"✗ token server .*token_server\.listen: port 8970 of 127\.0\.0\.1 cannot be used: Address already in use",
        f"systemctl is-active broken-listener >/dev/null || {{ {LISTENER}; }}",
        beside="minuted-token-server",
        mend="systemctl stop broken-listener 2>/dev/null; true",
    ),
    Break(
        "no key",
        r"✗ service .*no AssemblyAI key: put it into .* credential assemblyai\.key",
        key=None,
        alone=True,
    ),
    Break(
        "a key with a blank in it",
        r"✗ service .*assemblyai\.key: the key is more than one word of plain letters and digits",
        key="two words\n",
    ),
    Break(
        "a credential that is not there",
        r"✗ sandbox .*minuted\.service cannot start: Failed to set up credentials: .*systemctl edit minuted",
        unit="LoadCredential=webhook.secret:/etc/minuted/broken.secret",
        alone=True,
    ),
    Break(
        "a webhook's secret that is none",
        r"✗ sink webhook .*the secret is not whsec_ followed by .* this makes one: echo",
        "echo hunter2 > /etc/minuted/broken.secret; chmod 640 /etc/minuted/broken.secret; "
        "chgrp minuted /etc/minuted/broken.secret",
        '[sinks.webhook]\nurl = "https://example.org/x"\nsecret_file = "broken.secret"\n',
    ),
    Break(
        "a sink that does not load",
        r"✗ sink broken_code .*failed to load: SyntaxError: .*broken_code\.py:1",
        "echo 'def (' > /usr/local/lib/minuted/sinks/broken_code.py",
        "[sinks.broken_code]\n",
        mend="rm -f /usr/local/lib/minuted/sinks/broken_code.py",
    ),
    Break(
        "a sink whose package is missing",
        r"✗ sink needy .*failed to load: needs the module 'no_such_package'; .*pip install .*no_such_package",
        "echo 'import no_such_package' > /usr/local/lib/minuted/sinks/needy.py",
        "[sinks.needy]\n",
        mend="rm -f /usr/local/lib/minuted/sinks/needy.py",
    ),
    Break(
        "a sink that ends its process",
        r"✗ sink abrupt .*its code ended the process that tried it, with exit status 3",
        "echo 'import os; os._exit(3)' > /usr/local/lib/minuted/sinks/abrupt.py",
        "[sinks.abrupt]\n",
        mend="rm -f /usr/local/lib/minuted/sinks/abrupt.py",
    ),
    Break(
        "an unknown key",
        r"✗ configuration .*unknown key 'rom'; did you mean 'room'\?",
        first="rom = 1\n",
        alone=True,
    ),
    Break(
        "no TOML",
        r"✗ configuration .*minuted\.toml: not TOML: .*line \d+",
        config="[[[\n",
        alone=True,
    ),
    Break(
        "a configuration that the service may not read",
        r"✗ configuration .*minuted\.toml.*; run: chgrp minuted /etc/minuted/minuted\.toml && chmod 640 /etc",
        "chgrp root /etc/minuted/minuted.toml; chmod 600 /etc/minuted/minuted.toml",
        mend="chgrp minuted /etc/minuted/minuted.toml; chmod 640 /etc/minuted/minuted.toml",
        alone=True,
    ),
    Break(
        "a microphone that is not there",
        r'✗ source .*capture\.device: no input device is called "Jabra"; there are "table"',
        instead=('device = "table"', 'device = "Jabra"'),
    ),
    Break(
        "an override that takes the network away",
        r"✗ network .*no AF_INET sockets here .*give them back with RestrictAddressFamilies=AF_INET AF_INET6",
        unit="RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_NETLINK",
        alone=True,
    ),
    Break(
        "an override that names a user who is not there",
        r"✗ sandbox .*minuted\.service cannot start: Failed to determine user credentials: .*systemctl edit minuted",
        unit="User=no-such-user",
        alone=True,
    ),
    Break(
        "an override that takes away what Python needs",
        r"✗ sandbox .*minuted\.service cannot start: .*systemctl cat minuted",
        unit="SystemCallFilter=~getrandom mmap",
        alone=True,
    ),
    Break(
        "a model that is not there",
        r"✗ service .*engine\.model_dir: /var/lib/minuted/broken-model is not a folder",
        instead=(
            f'service = "assemblyai"\nurl = "ws://127.0.0.1:{PORT}"',
            'service = "local"\nmodel_dir = "/var/lib/minuted/broken-model"',
        ),
        alone=True,
    ),
    Break(
        "a certificate that has ended",
        r"✗ token server .*certificate: /etc/minuted/broken\.pem has ended: renew it",
        CERTIFICATE.replace("openssl req", "LD_PRELOAD={faketime} FAKETIME=-2y openssl req"),
        TLS,
        alone=True,
    ),
    Break(
        "a certificate with another's key",
        r"✗ token server .*private_key: /etc/minuted/broken\.key is not the key of /etc/minuted/broken\.pem",
        f"{CERTIFICATE}; openssl genrsa -out broken.key 2048 2>/dev/null; chmod 644 broken.key",
        TLS,
        alone=True,
    ),
    Break(
        "a certificate's key that the service may not read",
        r"✗ token server .*private_key: minuted may not read /etc/minuted/broken\.key; run: setfacl -m u:minuted:r",
        f"{CERTIFICATE}; chmod 600 broken.key",
        TLS,
    ),
    Break(
        "a clock that was never set",
        r"✗ clock .*it says 20\d\d-\d\d-\d\d, which cannot be: .*timedatectl set-ntp true",
        unit="Environment=LD_PRELOAD={faketime} FAKETIME=-20y FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1",
    ),
    Break(
        "a runtime_dir that cannot be written",
        r"✗ runtime_dir .*/srv/broken-run cannot be used .*",
        "mkdir -p /srv/broken-run",
        first='runtime_dir = "/srv/broken-run"\n',
    ),
    Break(
        "a state_dir whose files cannot be locked",
        r"✗ locks .*flock does not work on files in state_dir, /var/lib/minuted: .*; set state_dir to a folder on a",
        unit="SystemCallFilter=~flock",
    ),
    Break(
        "a state_dir that cannot be brought to the disk",
        r"✗ locks .*fsync does not work on files in state_dir, /var/lib/minuted: .*; set state_dir to a folder on a",
        unit="SystemCallFilter=~fsync",
        also=r"✗ sink (file_log|srt) .* what is written there cannot be brought to the disk",
        alone=True,
    ),
    Break(
        "sinks that the service may not read",
        r"✗ sinks .*sink_dirs: minuted may not read /srv/broken-sinks; run: chmod o\+rx /srv/broken-sinks",
        "install -d -m 700 /srv/broken-sinks",
        first='sink_dirs = ["/srv/broken-sinks"]\n',
        alone=True,
    ),
    Break(
        "a .env file that the service may not read",
        r"✗ service .*/etc/minuted/\.env.*; run: chgrp minuted /etc/minuted/\.env && chmod 640 /etc/minuted/\.env",
        f"umask 077; echo ASSEMBLYAI_API_KEY={KEY} > /etc/minuted/.env",
        key=None,
        alone=True,
    ),
    Break(
        "a turn journal of another version",
        r"✗ journal .*/var/lib/minuted/turns\.db is another version's \(records has seq, new\) .*go back to that",
        "cd /var/lib/minuted && /usr/bin/python3 -c \"import sqlite3; sqlite3.connect('turns.db').execute('CREATE TABLE "
        "records (seq, new)')\"; chown minuted: turns.db",
        mend="rm -f /var/lib/minuted/turns.db",
    ),
    Break(
        "a proxy that nobody listens at",
        r"✗ network .*the proxy http://127\.0\.0\.1:9 cannot be reached \(Connection refused\): set HTTPS_PROXY right",
        unit="Environment=HTTPS_PROXY=http://127.0.0.1:9",
        instead=(f'url = "ws://127.0.0.1:{PORT}"', ""),
    ),
)


class Bench:
    """An installed service that is broken and mended."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def make(self, *breaks: Break) -> None:
        """Break it in these ways at once."""
        config = CONFIG
        for each in breaks:
            config = each.first + config.replace(*each.instead) if each.instead[0] else each.first + config
        self._room.configure(config + "".join(each.config for each in breaks))
        self._shell(
            "install -d /usr/local/lib/minuted/sinks; install -d -o minuted -g minuted -m 750 /var/lib/minuted"
        )
        unit = "\n".join(each.unit for each in breaks if each.unit).format(faketime=_faketime())
        if unit:
            self._room.drop_in("broken", unit)
        store = self._room.box.root / "etc/credstore/assemblyai.key"
        keys = {each.key for each in breaks} - {KEY}
        if None in keys:
            store.unlink()
        else:
            store.write_text(next(iter(keys), KEY) or "")
        for each in breaks:
            if each.beside:
                self._room.systemctl("enable", each.beside)
            if each.shell:
                self._shell(each.shell.replace("{faketime}", _faketime()))

    def mend(self, *breaks: Break) -> None:
        """Undo it all, as a person does who follows what was said."""
        for each in breaks:
            if each.mend:
                self._shell(each.mend)
            if each.beside:
                self._room.systemctl("disable", each.beside)
        self._shell(MENDED + "; rm -f /etc/systemd/system/minuted.service.d/9*; systemctl daemon-reload")
        store = self._room.box.root / "etc/credstore/assemblyai.key"
        store.write_text(KEY + "\n")
        store.chmod(0o600)
        self._room.configure(CONFIG)

    def check(self, *words: str) -> tuple[int, str]:
        """Ask `minuted check`, as root; return its exit status and all it says."""
        said = self._shell(f"cd /; /opt/minuted/current/bin/minuted check {' '.join(words)}; echo status $?")
        lines = said.splitlines()
        return int(lines[-1].removeprefix("status ")), "\n".join(lines[:-1])

    def _shell(self, script: str) -> str:
        return self._room.box.run("sh", "-c", script, check=False)


def _faketime() -> str:
    """Return the library that sets a process's clock, of the Debian package faketime."""
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))
