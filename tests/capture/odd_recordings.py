"""Recordings as they come from people, phones and broken machines: how each is made, and what is right.

Made by lame, ffmpeg and sox, then cut, joined and given headers that lie. A part "a" is a tone of 440 Hz
and 3 s, a part "b" one of 880 Hz and 2 s, so that a part that is missing or played at another rate shows.
"""

import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from moonshine_voice.utils import get_assets_path

SPEECH: Final = get_assets_path() / "two_cities.wav"
SPEECH_S: Final = 44.37
A_S, A_HZ = 3.0, 440
B_S, B_HZ = 2.0, 880


@dataclass(frozen=True)
class Odd:
    """A recording, and what is right of it."""

    name: str
    make: Callable[[Path], object]
    heard_s: float = A_S
    ends_hz: int | None = A_HZ
    """What sounds in the end; None: it is no tone."""
    cut_off: str = ""
    """What is said after all that could be heard."""
    refused: str = ""
    """Why nothing is heard of it."""
    abs_s: float = 0.15
    needs_av: bool = False
    """libsndfile does not read it."""


def shell(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def ffmpeg(*words: object) -> None:
    shell("ffmpeg", "-nostdin", "-v", "error", "-y", *words)


def tone(seconds: float, hz: int, rate: int = 48000, channels: int = 1) -> list[str]:
    return [
        *("-f", "lavfi", "-i", f"sine=frequency={hz}:sample_rate={rate}:duration={seconds}"),
        *("-af", "volume=4", "-ac", str(channels)),
    ]


def made(*options: object, part: str = "a", rate: int = 48000, channels: int = 1) -> Callable[[Path], None]:
    """Make a part with ffmpeg in the format that the name says."""
    seconds, hz = (A_S, A_HZ) if part == "a" else (B_S, B_HZ)

    def make(path: Path) -> None:
        ffmpeg(*tone(seconds, hz, rate, channels), *options, path)

    return make


def joined(
    one: Callable[[Path], object], other: Callable[[Path], object], between: bytes = b""
) -> Callable[[Path], None]:
    """As `cat` joins them."""

    def make(path: Path) -> None:
        parts = []
        for number, part in enumerate((one, other)):
            place = path.with_name(f"part{number}{path.suffix}")
            part(place)
            parts.append(place.read_bytes())
            place.unlink()
        path.write_bytes(between.join(parts))

    return make


def cut(
    make: Callable[[Path], object], kept: float | None = None, *, less_bytes: int = 0
) -> Callable[[Path], None]:
    """Cut it off: as a share of its bytes, or by some bytes."""

    def cut_off(path: Path) -> None:
        make(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * kept) if kept else len(whole) - less_bytes])

    return cut_off


def patched(
    make: Callable[[Path], object], *patches: tuple[bytes | int, int, bytes], tail: bytes = b""
) -> Callable[[Path], None]:
    """Write other bytes somewhere behind a mark, or behind a place."""

    def patch(path: Path) -> None:
        make(path)
        data = bytearray(path.read_bytes())
        for mark, behind, new in patches:
            at = (data.index(mark) if isinstance(mark, bytes) else mark) + behind
            data[at : at + len(new)] = new
        path.write_bytes(bytes(data) + tail)

    return patch


def piped(*words: object) -> Callable[[Path], None]:
    """Write what a program gives to a pipe, which it cannot go back in."""

    def make(path: Path) -> None:
        source = path.with_name("source.wav")
        ffmpeg(*tone(A_S, A_HZ), source)
        named = [str(source) if word == "@" else str(word) for word in words]
        with path.open("wb") as file:
            pipe = subprocess.run(
                ["sh", "-c", '"$@" | cat', "sh", *named], stdout=file, stderr=subprocess.DEVNULL, check=False
            )
            assert pipe.returncode == 0
        source.unlink()

    return make


@cache
def lame_speech(*options: str) -> bytes:
    """Return real speech as lame writes it to a pipe: no header can say how long it is."""
    with SPEECH.open("rb") as speech:
        words = ["lame", "--quiet", *options, "-", "-"]
        return subprocess.run(words, check=True, stdin=speech, capture_output=True).stdout


def speech(*options: str, share: float = 1.0) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        data = lame_speech(*options)
        path.write_bytes(data[: int(len(data) * share)])

    return make


def called(suffix: str) -> Callable[[Path], None]:
    """Make it under another name."""

    def make(path: Path) -> None:
        other = path.with_name(f"other{suffix}")
        made()(other)
        other.replace(path)

    return make


def holds(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def sox(*words: object) -> Callable[[Path], None]:
    """`@` is a part "a" as a WAV file."""

    def make(path: Path) -> None:
        source = path.with_name("source.wav")
        ffmpeg(*tone(A_S, A_HZ), source)
        shell("sox", *[source if word == "@" else path if word == ">" else word for word in words])
        source.unlink()

    return make


def inverted(path: Path) -> None:
    ffmpeg(*tone(A_S, A_HZ)[:4], "-af", "volume=4,pan=stereo|c0=c0|c1=-1*c0", path)


def nearly_inverted(path: Path) -> None:
    ffmpeg(*tone(A_S, A_HZ)[:4], "-af", "volume=4,pan=stereo|c0=c0|c1=-0.9*c0", path)


def one_sided(path: Path) -> None:
    ffmpeg(*tone(A_S, A_HZ)[:4], "-af", "volume=4,pan=stereo|c0=c0|c1=0*c0", path)


def film(*options: object, sound: bool = True) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        picture = ("-f", "lavfi", "-i", f"color=size=64x48:rate=10:duration={A_S}")
        heard = (*tone(A_S, A_HZ)[:4], "-af", "volume=4") if sound else ()
        ffmpeg(*picture, *heard, *options, path)

    return make


def two_tracks(path: Path) -> None:
    ffmpeg(*tone(A_S, A_HZ)[:4], *tone(A_S, B_HZ)[:4], "-map", "0", "-map", "1", "-af", "volume=4", path)


def without_a_sample(path: Path) -> None:
    ffmpeg(*tone(A_S, A_HZ), "-frames:a", "0", path)


def header_of_9_s(path: Path) -> None:
    """A header that says 9 s before 0.2 s of sound."""
    ffmpeg(*tone(9, A_HZ), path)
    path.write_bytes(path.read_bytes()[: 78 + int(0.2 * 96000)])


def rate_of(hz: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        shell("sox", "-n", "-r", hz, path, "synth", A_S, "sine", min(A_HZ, hz // 4), "gain", -3)

    return make


RIFF_DATA: Final = (b"data", 4, b"\0\0\0\0")
PLAIN: Final = made()
MP3_A, MP3_B = made("-b:a", "64k"), made("-b:a", "64k", part="b", rate=22050, channels=2)
NO_XING: Final = made("-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0")
TEXT: Final = b"These are my notes of the meeting.\n" * 40
PICTURE: Final = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(500)

ODD: Final = (
    # MP3
    Odd("speech-v4-pipe.mp3", speech("-V4"), SPEECH_S, None),
    Odd("speech-v2-pipe.mp3", speech("-V2"), SPEECH_S, None),
    Odd("speech-abr96-pipe.mp3", speech("--abr", "96"), SPEECH_S, None),
    Odd("speech-cbr64-pipe.mp3", speech("-b", "64"), SPEECH_S, None),
    Odd("speech-cut.mp3", speech("-V4", share=0.5), 22.2, None, "breaks off after", abs_s=2.0),
    Odd("xing.mp3", MP3_A),
    Odd("xing-cut.mp3", cut(MP3_A, 0.5), 1.5, cut_off=r"breaks off after 1\.\d s of 3\.0 s", abs_s=0.3),
    Odd("xing-says-less.mp3", patched(MP3_A, (b"Info", 8, struct.pack(">I", 20)))),
    Odd("xing-says-nothing.mp3", patched(MP3_A, (b"Info", 8, bytes(4)))),
    Odd("same-twice.mp3", joined(MP3_A, MP3_A), 6.0),
    Odd("two-rates.mp3", joined(MP3_A, MP3_B), 5.0, B_HZ, abs_s=0.25),
    Odd("two-channel-counts.mp3", joined(MP3_A, made("-b:a", "64k", part="b", channels=2)), 5.0, B_HZ),
    Odd("no-xing-twice.mp3", joined(NO_XING, made("-write_xing", "0", part="b")), 5.0, B_HZ, abs_s=0.25),
    Odd(
        "junk-between.mp3",
        joined(MP3_A, MP3_B, b"TAG" + bytes(125) + b"\xff\xfb" * 300),
        5.0,
        B_HZ,
        abs_s=0.3,
    ),
    Odd("junk-before.mp3", joined(holds(bytes(3000)), MP3_A)),
    Odd("mpeg2-layer3-8000.mp3", made("-b:a", "16k", rate=8000), abs_s=0.3),
    Odd("layer2.mp2", made("-b:a", "128k")),
    Odd("two-rates.mp2", joined(made("-b:a", "128k"), made("-b:a", "64k", part="b", rate=24000)), 5.0, B_HZ),
    Odd(
        "id3-with-picture.mp3", joined(holds(b"ID3\x04\0\0\0\0\x1f\x20" + b"\xff\xfb\x90\x64" * 1000), MP3_A)
    ),
    # WAV
    Odd("data-size-0.wav", patched(PLAIN, RIFF_DATA, (4, 0, bytes(4)))),
    Odd("data-size-0-riff-size-right.wav", patched(PLAIN, RIFF_DATA)),
    Odd("sizes-ffffffff.wav", patched(PLAIN, (b"data", 4, b"\xff" * 4), (4, 0, b"\xff" * 4))),
    Odd("sizes-7fffffff.wav", patched(PLAIN, (b"data", 4, b"\xff\xff\xff\x7f"), (4, 0, b"\xff\xff\xff\x7f"))),
    Odd("ffmpeg-pipe.wav", piped("ffmpeg", "-v", "error", "-i", "@", "-f", "wav", "-")),
    Odd("sox-pipe.wav", piped("sox", "@", "-t", "wav", "-")),
    Odd("says-1-s.wav", patched(PLAIN, (b"data", 4, struct.pack("<I", 96000)))),
    Odd("says-9-s-has-02.wav", header_of_9_s, 0.2, cut_off=r"breaks off after 0\.2 s of 9\.0 s"),
    Odd("riff-size-lies.wav", patched(PLAIN, (4, 0, struct.pack("<I", 4000)))),
    Odd("cut.wav", cut(PLAIN, 0.5), 1.5, cut_off=r"breaks off after 1\.5 s of 3\.0 s"),
    Odd("chunks-behind.wav", patched(PLAIN, tail=b"bext" + struct.pack("<I", 90000) + bytes(90000))),
    Odd("same-twice.wav", joined(PLAIN, PLAIN), 6.0),
    Odd("two-rates.wav", joined(PLAIN, made(part="b", rate=22050, channels=2)), 5.0, B_HZ),
    Odd("rf64.wav", made("-rf64", "always")),
    Odd("rf64-size-0.wav", patched(made("-rf64", "always"), (b"ds64", 8, bytes(24)))),
    Odd("rf64-cut.wav", cut(made("-rf64", "always"), 0.5), 1.5, cut_off="breaks off after"),
    Odd("wave64.w64", made()),
    Odd("wave64-cut.w64", cut(made(), 0.5), 1.5, cut_off="breaks off after"),
    Odd("wave64-pipe.w64", piped("ffmpeg", "-v", "error", "-i", "@", "-f", "w64", "-")),
    Odd("u8.wav", made("-c:a", "pcm_u8")),
    Odd("s24.wav", made("-c:a", "pcm_s24le")),
    Odd("s32.wav", made("-c:a", "pcm_s32le")),
    Odd("f32.wav", made("-c:a", "pcm_f32le")),
    Odd("f64-size-0.wav", patched(made("-c:a", "pcm_f64le"), RIFF_DATA)),
    Odd("alaw-8000.wav", made("-c:a", "pcm_alaw", rate=8000)),
    Odd("mulaw-size-0.wav", patched(made("-c:a", "pcm_mulaw", rate=8000), RIFF_DATA)),
    Odd("ima-adpcm.wav", made("-c:a", "adpcm_ima_wav")),
    Odd("ms-adpcm-size-0.wav", patched(made("-c:a", "adpcm_ms"), RIFF_DATA)),
    Odd("gsm.wav", sox("@", "-r", 8000, "-c", 1, "-e", "gsm-full-rate", ">"), abs_s=0.2),
    Odd("big-endian.rifx.wav", sox("@", "-B", "-t", "wav", ">")),
    Odd("rate-192000.wav", made("-ar", 192000)),
    Odd("rate-8000.wav", made("-ar", 8000)),
    Odd("rate-11127.wav", made("-ar", 11127)),
    Odd("eight-channels.wav", made("-ac", 8)),
    Odd("inverted.wav", inverted),
    Odd("nearly-inverted.wav", nearly_inverted),
    Odd("one-sided.wav", one_sided),
    Odd("mp3-within.wav", made("-c:a", "libmp3lame")),
    Odd("really-an.mp3.wav", called(".mp3")),
    Odd("really-an-m4a.wav", called(".m4a"), needs_av=True),
    # AIFF, AU, CAF, FLAC
    Odd("plain.aiff", made()),
    Odd("cut.aiff", cut(made(), 0.5), 1.5, cut_off=r"breaks off after 1\.5 s of 3\.0 s"),
    Odd("size-0.aiff", patched(made(), (b"SSND", 4, bytes(4)), (b"COMM", 10, bytes(4)), (4, 0, bytes(4)))),
    Odd("sox-pipe.aiff", piped("sox", "@", "-t", "aiff", "-")),
    Odd("sowt.aifc", sox("@", "-t", "aifc", ">")),
    Odd("ffmpeg-pipe.au", piped("ffmpeg", "-v", "error", "-i", "@", "-f", "au", "-")),
    Odd("size-0.au", patched(made(), (8, 0, bytes(4)))),
    Odd("cut.au", cut(made(), 0.5), 1.5, cut_off="breaks off after"),
    Odd("plain.caf", made()),
    Odd("cut.caf", cut(made(), 0.5), 1.5, cut_off="breaks off after"),
    Odd("pipe.caf", patched(made(), (b"data", 4, b"\xff" * 8))),
    Odd("plain.flac", made()),
    Odd("pipe.flac", piped("ffmpeg", "-v", "error", "-i", "@", "-f", "flac", "-")),
    Odd("says-nothing.flac", patched(made("-sample_fmt", "s16"), (b"fLaC", 21, b"\xf0\0\0\0\0"))),
    Odd(
        "says-1-s.flac",
        patched(made("-sample_fmt", "s16"), (b"fLaC", 21, b"\xf0" + struct.pack(">I", 48000))),
    ),
    Odd(
        "cut.flac",
        cut(made(), 0.5),
        1.15,
        cut_off=r"breaks off after 1\.\d s of 3\.0 s: flac decoder lost sync",
    ),
    Odd("same-twice.flac", joined(made(), made()), 6.0),
    Odd("two-rates.flac", joined(made(), made(part="b", rate=22050, channels=2)), 5.0, B_HZ),
    Odd("damaged-inside.flac", patched(made(), (30000, 0, bytes(200))), cut_off="is damaged within"),
    # Ogg
    Odd("vorbis.ogg", made("-c:a", "libvorbis")),
    Odd("opus.opus", made("-c:a", "libopus")),
    Odd(
        "chained-vorbis.ogg",
        joined(made("-c:a", "libvorbis"), made("-c:a", "libvorbis", part="b")),
        5.0,
        B_HZ,
    ),
    Odd(
        "chained-vorbis-two-rates.ogg",
        joined(made("-c:a", "libvorbis"), made("-c:a", "libvorbis", part="b", rate=22050, channels=2)),
        *(5.0, B_HZ),
    ),
    Odd(
        "chained-opus.opus",
        joined(made("-c:a", "libopus"), made("-c:a", "libopus", part="b", channels=2)),
        5.0,
        B_HZ,
    ),
    Odd(
        "vorbis-then-opus.ogg",
        joined(made("-c:a", "libvorbis"), made("-c:a", "libopus", part="b")),
        5.0,
        B_HZ,
    ),
    Odd("flac-in-ogg.oga", made("-c:a", "flac"), needs_av=True),
    Odd(
        "cut.ogg",
        cut(made("-c:a", "libvorbis", "-page_duration", "200000"), 0.5),
        0.6,
        cut_off=r"breaks off after 0\.\d s",
        abs_s=0.4,
    ),
    Odd("cut.opus", cut(made("-c:a", "libopus"), 0.5), 1.0, cut_off=r"breaks off after 1\.0 s", abs_s=0.3),
    Odd("speex.spx", made("-c:a", "libspeex", rate=16000), abs_s=0.2, needs_av=True),
    # What phones and meeting programs write.
    Odd("aac.m4a", made(), needs_av=True),
    Odd(
        "faststart-cut.m4a",
        cut(made("-movflags", "faststart"), 0.6),
        1.7,
        cut_off="breaks off after",
        abs_s=0.6,
        needs_av=True,
    ),
    Odd("index-missing.m4a", cut(made(), 0.6), refused="its index is missing: it was cut off"),
    Odd("alac.m4a", made("-c:a", "alac"), needs_av=True),
    Odd("same-twice.m4a", joined(made(), made()), 6.0, abs_s=0.3, needs_av=True),
    Odd("fragmented.mp4", made("-movflags", "frag_keyframe+empty_moov"), needs_av=True),
    Odd("adts.aac", made(), needs_av=True),
    Odd(
        "two-rates.aac",
        joined(made(), made(part="b", rate=22050, channels=2)),
        5.0,
        B_HZ,
        abs_s=0.3,
        needs_av=True,
    ),
    Odd("film.mp4", film(), needs_av=True),
    Odd("film-without-sound.mp4", film(sound=False), refused="there is no sound in it", needs_av=True),
    Odd("film.mov", film(), needs_av=True),
    Odd("film.mkv", film("-c:a", "libvorbis"), needs_av=True),
    Odd("film.webm", film(), needs_av=True),
    Odd(
        "live.webm",
        piped("ffmpeg", "-v", "error", "-i", "@", "-c:a", "libopus", "-f", "webm", "-"),
        needs_av=True,
    ),
    Odd("same-twice.webm", joined(made(), made()), 6.0, abs_s=0.3, needs_av=True),
    Odd("cut.webm", cut(made(), 0.5), 1.5, cut_off="breaks off after", abs_s=1.2, needs_av=True),
    Odd("two-tracks.mka", two_tracks, needs_av=True),
    Odd("wma.wma", made(), needs_av=True),
    Odd("film.avi", film(), needs_av=True),
    Odd("transport-stream.ts", film(), needs_av=True),
    Odd("3gp.3gp", made("-c:a", "aac"), needs_av=True),
    # None of these
    Odd("text.wav", holds(TEXT), refused="not a recording that can be read"),
    Odd("text.mp3", holds(TEXT), refused="not a recording that can be read"),
    Odd("picture.m4a", holds(PICTURE), refused="not a recording that can be read", needs_av=True),
    Odd("empty.wav", holds(b""), refused="the recording is empty"),
    Odd("zeros.wav", holds(bytes(5000)), refused="not a recording that can be read"),
    Odd(
        "half-a-header.wav",
        cut(PLAIN, less_bytes=int(A_S * 96000) + 48),
        refused="not a recording that can be read",
    ),
    Odd("no-sample.wav", without_a_sample, refused="there is no sound in it"),
    Odd("no-sample.mp3", without_a_sample, refused="the recording is empty|no sound"),
    Odd("only-id3.mp3", holds(b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000)), refused="no sound is found in it"),
    Odd("samples.raw", holds(bytes(9600)), refused="raw samples cannot be played"),
    Odd("rate-1.wav", rate_of(900), refused="a sampling rate of 900 Hz cannot be played"),
    Odd("folder.wav", lambda path: path.mkdir(), refused="is a folder"),
    Odd("pipe.wav", os.mkfifo, refused="is not a file"),
    Odd("dangling.wav", lambda path: path.symlink_to("nowhere"), refused="does not exist"),
    Odd("missing.wav", lambda _: None, refused="does not exist"),
    # Names
    Odd("talk.WAV", made("-f", "wav")),
    Odd("no ending", made("-f", "flac")),
    Odd("wrong-ending.txt", made("-f", "wav")),
    Odd("line\nbreak \x1b[31m.wav", made("-f", "wav")),
    Odd("-dash.wav", called(".wav")),
    Odd("議事録 🎙 á.flac", made()),
    Odd(os.fsdecode(b"caf\xe9.mp3"), made()),
    Odd("%s{0}$HOME;'\".wav", made()),
)
