"""The turn journal against a model of it, with kills, power cuts and full disks.

A power cut in the middle of an operation leaves any mixture of the blocks that were on the disk before
it and of those written since; one after it leaves everything, for `commit` waits until the disk has it.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from minuted.journal import turns
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.messages import Gap, Record

IS_LONG = os.environ.get("MINUTED_TEST_PROFILE") == "long"
FAST_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None
BLOCK_BYTES = 512
FILES = ("turns.db", "turns.db-wal", "turns.original")
PAGE_MAX, PRUNED_MAX, WAL_PAGES = 5, 4, 9
"""Small, so that every bound is met."""

SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.sampled_from([0, 100, 5_000, 20_000])


@dataclass
class Model:
    records: dict[int, tuple[str, int]] = field(default_factory=dict)
    """The reason and the time of each that is kept."""
    last_seq: int = 0
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def first_seq(self) -> int:
        return min(self.records, default=0)


Files = Mapping[str, bytes]


class Turns(RuleBasedStateMachine):
    journal_class = TurnJournal
    faults: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.folders = Path(tempfile.mkdtemp(prefix="m-", dir=FAST_DISK))
        self.lives = 0
        self.model = Model()
        self.now_ms = 1_000
        self.version = 0
        self.open(self.folders / "0")
        self.epoch = self.journal.epoch

    @rule(length=LENGTHS, with_state=st.booleans(), later_ms=st.integers(-20, 50), cut=st.none() | SEEDS)
    def commit(self, length: int, with_state: bool, later_ms: int, cut: int | None) -> None:
        self.now_ms += later_ms  # also backwards: clocks are set
        record, state = self.made(length), self.new_state() if with_state else {}
        after = replace(
            self.model,
            records=self.model.records | {self.model.last_seq + 1: (record.reason, self.now_ms)},
            last_seq=self.model.last_seq + 1,
            state=self.model.state | state,
        )
        self.do(lambda: self.journal.commit(record, state), after, cut)

    @rule(length=LENGTHS, cut=st.none() | SEEDS)
    def keep(self, length: int, cut: int | None) -> None:
        state = {**self.new_state(), "long": "x" * length}
        self.do(lambda: self.journal.keep(state), replace(self.model, state=self.model.state | state), cut)

    @rule(age_ms=st.integers(-5, 200), back=st.integers(-2, 12), cut=st.none() | SEEDS)
    def prune(self, age_ms: int, back: int, cut: int | None) -> None:
        before_ms, keep_from_seq = self.now_ms - age_ms, self.model.last_seq - back
        kept, gone = dict(self.model.records), 0
        for place, (seq, (_, at_ms)) in enumerate(self.model.records.items(), 1):
            is_young = before_ms <= at_ms <= self.now_ms
            if is_young or seq >= min(keep_from_seq, self.model.last_seq):
                break
            if at_ms < before_ms:  # and what is dated in the future is older still
                gone = min(place, PRUNED_MAX)
        for seq in list(kept)[:gone]:
            del kept[seq]
        self.faults["pruned"] += gone

        def act() -> None:
            assert self.journal.prune(before_ms, keep_from_seq) == gone

        self.do(act, replace(self.model, records=kept), cut)

    @rule(from_back=st.integers(-3, 15), limit=st.integers(-1, 9))
    def page(self, from_back: int, limit: int) -> None:
        from_seq = self.model.last_seq - from_back
        wanted = [seq for seq in self.model.records if seq >= from_seq][: max(1, min(limit, PAGE_MAX))]
        found = self.journal.page(from_seq, limit)
        assert [record["seq"] for record in found] == wanted
        assert [record["reason"] for record in found] == [self.model.records[seq][0] for seq in wanted]

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.open(self.path)

    @rule()
    def kill(self) -> None:
        self.faults["kills"] += 1
        self.resurrect(self.files())

    @rule(length=st.sampled_from([100_000, 300_000]))
    def fill_disk(self, length: int) -> None:
        database = self.journal._database
        database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
        for store in (
            lambda: self.journal.commit(self.made(length), self.new_state()),
            lambda: self.journal.keep({**self.new_state(), "long": "x" * length}),
        ):
            with pytest.raises(TurnJournalFullError):
                store()
        database.execute("PRAGMA max_page_count = 1000000")
        self.faults["full disks"] += 1

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "journal"):
            assert seen(self.journal, self.model) == self.model
            assert self.journal.epoch == self.epoch

    def do(self, act: Callable[[], object], after: Model, cut: int | None) -> None:
        """Do something; with `cut` as a seed, lose power in the middle of it."""
        if cut is None:
            act()
            self.model = after
            return
        before_files = self.files()
        act()
        pick = Random(cut)
        after_files = self.files()
        checkpointed = before_files["turns.db"] != after_files["turns.db"]
        if checkpointed and pick.random() < 0.5:
            # The log was on the disk before the first page went into the database.
            left = {**after_files, "turns.db": mixed(before_files["turns.db"], after_files["turns.db"], pick)}
            allowed, name = [after], "cuts in a checkpoint"
        else:
            log = mixed(before_files["turns.db-wal"], after_files["turns.db-wal"], pick)
            left, allowed, name = {**before_files, "turns.db-wal": log}, [self.model, after], "cuts in a log"
        self.resurrect(left)
        found = seen(self.journal, after)
        assert found in allowed
        self.faults[name] += 1
        self.faults["undone" if found != after else "done"] += 1
        self.model = found

    def resurrect(self, files: Files) -> None:
        """Open what a dead process left, elsewhere: the dead one must not tidy up."""
        self.lives += 1
        folder = self.folders / str(self.lives)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        self.journal.close()
        shutil.rmtree(self.path)
        self.open(folder)

    def open(self, folder: Path) -> None:
        self.path = folder
        self.journal = self.journal_class(folder / "turns.db", lambda: self.now_ms)

    def files(self) -> dict[str, bytes]:
        return {name: (self.path / name).read_bytes() for name in FILES if (self.path / name).exists()}

    def made(self, length: int) -> Gap:
        self.version += 1
        return Gap(room="r", meeting_id="m", start_ms=0, end_ms=1, reason=f"{self.version} {'x' * length}")

    def new_state(self) -> dict[str, Any]:
        self.version += 1
        return {"mark": self.version, "meeting": {"id": f"m{self.version}"}}

    @initialize()
    def begin(self) -> None:
        self.model = Model()

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folders)


def seen(journal: TurnJournal, model: Model) -> Model:
    """Give what is in a journal, with the state of the keys the model has."""
    rows = journal._database.execute("SELECT seq, at_ms FROM records ORDER BY seq").fetchall()
    reasons: dict[int, str] = {}
    while page := journal.page(max(reasons, default=0) + 1):
        reasons |= {record["seq"]: record["reason"] for record in page}
    assert (journal.first_seq, journal.last_seq) == (min(reasons, default=0), max(reasons, default=0))
    records = {seq: (reasons[seq], at_ms) for seq, at_ms in rows}
    assert list(records) == list(range(journal.first_seq, journal.last_seq + 1)) or not records
    state = {key: value for key in model.state if (value := journal.state(key)) is not None}
    return Model(records, journal.last_seq, state)


def mixed(before: bytes, after: bytes, pick: Random) -> bytes:
    """Give what a power cut leaves of a file that was `before` and is to become `after`."""
    size = pick.choice([len(before), len(after), pick.randint(*sorted((len(before), len(after))))])
    taken = pick.choice([0.0, 0.5, 0.95, 1.0])
    blocks = []
    for start in range(0, size, BLOCK_BYTES):
        source = after if pick.random() < taken else before
        blocks.append(source[start : start + BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0"))
    return b"".join(blocks)[:size]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PAGE_MAX", PAGE_MAX), ("PRUNED_MAX", PRUNED_MAX), ("WAL_PAGES", WAL_PAGES)):
        monkeypatch.setattr(turns, name, value)


PROFILE = settings(
    max_examples=1000 if IS_LONG else 60,
    stateful_step_count=60 if IS_LONG else 30,
    derandomize=not IS_LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if IS_LONG else 120)
def test_what_was_committed_is_there_whole_and_in_order_whatever_happened() -> None:
    """The promise itself. MINUTED_TEST_PROFILE=long tries more, with other seeds each time."""
    faults: Counter[str] = Counter()
    run_state_machine_as_test(type("Machine", (Turns,), {"faults": faults}), settings=PROFILE)

    kinds = {"kills", "full disks", "pruned", "cuts in a log", "cuts in a checkpoint", "done", "undone"}
    assert kinds == {kind for kind in faults if faults[kind]}, faults


class StateLater(TurnJournal):
    def commit(self, record: Record, state: Mapping[str, Any] | None = None) -> Record:
        numbered = super().commit(record)
        self.keep(state or {})
        return numbered


class PrunesTheNewest(TurnJournal):
    def prune(self, before_ms: int, keep_from_seq: int) -> int:
        self.last_seq += 1
        gone = super().prune(before_ms, keep_from_seq)
        self.last_seq -= 1
        return gone


class PrunesTheYoung(TurnJournal):
    def prune(self, before_ms: int, keep_from_seq: int) -> int:
        return super().prune(before_ms + 100, keep_from_seq)


@pytest.mark.parametrize("journal", [StateLater, PrunesTheNewest, PrunesTheYoung])
def test_the_model_sees_what_is_wrong(journal: type[TurnJournal]) -> None:
    """A model that no mistake could fail would prove nothing."""
    machine = type("Machine", (Turns,), {"journal_class": journal, "faults": Counter()})
    only_find = settings(PROFILE, max_examples=2000, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=only_find)
