"""Which settings are in force: the configuration's, a profile's, and what was changed since. Pure.

There are two layers of changes: those that hold until they are reset, and upon them those that hold until
the daemon is started again. Within a layer what was changed by name counts for more than the profile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

from minuted.live_settings import LISTS, LIVE, NO_PROFILE, TEXTS, Profile, allowed, checked, empty, refusal
from minuted.options import ConfigError
from minuted.session_settings import StreamingSession

Profiles = Mapping[str, Profile]

UNTIL_RESET: Final = "until reset"
UNTIL_RESTART: Final = "until the next restart"


@dataclass(frozen=True, slots=True)
class Layer:
    """A profile (None: nothing is said of it; "": none) and values by name."""

    profile: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def without(self, names: Iterable[str]) -> "Layer":
        """Leave out the values of these settings."""
        return Layer(self.profile, {name: self.values[name] for name in self.values if name not in {*names}})


class ChangesState(TypedDict):
    """What `Changes.to_state` gives."""

    run: str
    kept: Layer
    passing: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for: all of it or nothing."""

    set: Mapping[str, Any] = field(default_factory=dict)
    clear: tuple[str, ...] = ()
    profile: str | None = None
    reset: tuple[str, ...] | None = None
    """The settings to take back, or () for all of them and the profile; None: none. It comes first."""
    until_restart: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed."""

    kept: Layer = Layer()
    passing: Layer = Layer()

    @property
    def profile(self) -> str:
        """The profile that holds; "" for none."""
        return (self.kept.profile if self.passing.profile is None else self.passing.profile) or ""

    def effective(self, base: StreamingSession, profiles: Profiles, model: str) -> StreamingSession:
        """Give the settings a session is to have; what its model does not take is left out."""
        values: dict[str, Any] = {
            # A session that is asked for nothing is one in which it is cleared.
            name: None if value == empty(name) else value
            for name, (value, _) in self.sources(profiles, model).items()
        }
        return replace(base, **values)

    def sources(self, profiles: Profiles, model: str) -> dict[str, tuple[Any, str]]:
        """Give the changed settings, each with its value and where it comes from."""
        found: dict[str, tuple[Any, str]] = {}
        names = allowed(model)
        layers = ((self.kept, UNTIL_RESET), (self.passing, UNTIL_RESTART))
        for layer, lasts in layers:
            is_hidden = layer is self.kept and self.passing.profile is not None
            profile = "" if is_hidden else layer.profile or ""
            own = profiles.get(profile, {})
            found |= {name: (own[name], f"profile {profile}") for name in own if name in names}
            for name, value in layer.values.items():
                if name not in names:
                    continue
                # What both layers say outlasts the one that passes.
                found[name] = (value, UNTIL_RESET if self.kept.values.get(name) == value else lasts)
        return found

    def to_state(self, run: str) -> dict[str, Any]:
        """Give what a process that comes after this one must know; `run` says until when."""
        layers = {"kept": self.kept, "passing": self.passing}
        stored = {
            name: {"profile": layer.profile, "values": dict(layer.values)} for name, layer in layers.items()
        }
        return {"run": run, **stored}


def from_state(state: Mapping[str, Any] | None, run: str) -> Changes:
    """Go on from what `to_state` gave another process; what was for another run is over.

    What this version no longer takes is left out.
    """
    if not state:
        return Changes()
    passing = state["passing"] if state["run"] == run else {"profile": None, "values": {}}
    return Changes(_layer(state["kept"]), _layer(passing))


def _layer(stored: Mapping[str, Any]) -> Layer:
    values = {}
    for name, value in stored["values"].items():
        try:
            values[name] = checked(name, value) if name in LIVE else None
        except ConfigError:
            continue
    return Layer(stored["profile"], {name: value for name, value in values.items() if value is not None})


def request_of(question: Mapping[str, Any]) -> Request:
    """Read a request that came by the control socket. Raises ConfigError for one of a wrong form."""
    given, clear = question.get("set") or {}, question.get("clear") or []
    reset, profile = question.get("reset"), question.get("profile")
    lists = [clear, reset if reset is not None else []]
    is_form = isinstance(given, dict) and isinstance(profile, str | None)
    if not is_form or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists
    ):
        raise ConfigError("the request cannot be read")
    return Request(
        set={name: value for name, value in given.items() if value is not None},
        clear=tuple(clear),
        profile=profile,
        reset=tuple(reset) if reset is not None else None,
        until_restart=question.get("until_restart") is True,
    )


def changed(changes: Changes, request: Request, profiles: Profiles, model: str) -> Changes:
    """Give the changes after a request. Raises ConfigError, with every reason, where a part cannot be."""
    values, reasons = _values(request, model)
    profile = "" if request.profile == NO_PROFILE else request.profile
    if profile and profile not in profiles:
        has = f"there are {', '.join(profiles)}" if profiles else "there is none"
        reasons.append(f"the configuration has no [profiles.{profile}]; {has}")
    own = profiles.get(profile or "", {})
    reasons += [f"profile {profile}: {reason}" for name in own if (reason := refusal(name, model))]
    reasons += [f"{name!r} is not known" for name in request.reset or () if name not in LIVE]
    if reasons:
        raise ConfigError("; ".join(reasons))
    if request.reset is not None:
        changes = _reset(changes, request.reset)
    # The last word counts: whatever said something of these settings before is silent.
    named = {*values, *own}
    kept, passing = changes.kept, changes.passing.without(named)
    if request.until_restart:
        named_profile = passing.profile if profile is None else profile
        return Changes(kept, Layer(named_profile, {**passing.values, **values}))
    kept = kept.without(named)
    kept = Layer(kept.profile if profile is None else profile, {**kept.values, **values})
    if profile is not None:
        return Changes(kept, replace(passing, profile=None))
    # A profile for this run, chosen before, would hide what is said now.
    hidden = {name: values[name] for name in profiles.get(passing.profile or "", {}) if name in values}
    return Changes(kept, Layer(passing.profile, {**passing.values, **hidden}))


def _values(request: Request, model: str) -> tuple[dict[str, Any], list[str]]:
    values, reasons = {}, []
    for name, value in (*request.set.items(), *((name, None) for name in request.clear)):
        if reason := refusal(name, model):
            reasons.append(reason)
            continue
        try:
            values[name] = empty(name) if value is None else checked(name, value)
        except ConfigError as error:
            reasons.append(str(error))
            continue
        if values[name] is None:
            reasons.append(f"{name} has no empty value; `--reset {name}` takes a change of it back")
    reasons += [f"{name} cannot be set and cleared at once" for name in request.clear if name in request.set]
    return values, reasons


def _reset(changes: Changes, names: tuple[str, ...]) -> Changes:
    return Changes(changes.kept.without(names), changes.passing.without(names)) if names else Changes()


def named(text: str) -> list[str]:
    """Give the live settings that an error's text names."""
    return [name for name in LIVE if f"'{name}'" in text]


def undone(
    changes: Changes, names: Iterable[str], profiles: Profiles, model: str
) -> tuple[Changes, list[str]]:
    """Take back what a service has refused of these; give the names of it, too."""
    sources = changes.sources(profiles, model)
    names = [name for name in names if name in sources]
    if not names:
        return changes, []
    from_profile = any(sources[name][1].startswith("profile ") for name in names)
    layers = [changes.kept.without(names), changes.passing.without(names)]
    if from_profile:
        layers = [Layer(None, layer.values) for layer in layers]
    return Changes(*layers), names


# What a session has been told, and what it is to be told.

Told = Mapping[str, Any]
"""Live settings by name, as a session goes by them: what is empty is as good as unset."""


def told(session: StreamingSession) -> Told:
    """Give what a session learns from its connect query."""
    return {
        name: getattr(session, name) or empty(name) if empty(name) is not None else getattr(session, name)
        for name in LIVE
    }


def difference(has: Told, wanted: Told, model: str) -> tuple[dict[str, Any], list[str]]:
    """Give what a session is to be told, and what only another session can be: to forget a number."""
    names = [name for name in allowed(model) if has[name] != wanted[name]]
    update = {name: wanted[name] for name in names if wanted[name] is not None}
    return update, [name for name in names if wanted[name] is None]


def described(changes: Changes, base: StreamingSession, profiles: Profiles, model: str) -> dict[str, Any]:
    """Say what is in force and what of it is changed, for `minuted status`."""
    sources = changes.sources(profiles, model)
    now, before = told(changes.effective(base, profiles, model)), told(base)
    shown = {name: value for name, value in now.items() if value not in (None, "", ()) or name in sources}
    return {
        "profile": changes.profile,
        "profiles": list(profiles),
        "values": {name: _plain(value) for name, value in shown.items()},
        "changed": {name: source for name, (_, source) in sources.items()},
        "configured": {name: _plain(before[name]) for name in sources},
        "without_effect": _without_effect(changes, profiles, model),
        "live": list(allowed(model)),
        "model": model,
    }


def _without_effect(changes: Changes, profiles: Profiles, model: str) -> list[str]:
    """Name what was changed when the configuration was another one, and cannot hold now."""
    names = {*changes.kept.values, *changes.passing.values}
    profile = changes.profile
    gone = [f"profile {profile}"] if profile and profile not in profiles else []
    names |= set(profiles.get(profile, {}))
    return [*gone, *sorted(names - {*allowed(model)})]


def line(status: Mapping[str, Any]) -> str:
    """Say in a line what of it is changed; the texts and terms themselves are too long for it."""
    own = {
        name: status["values"].get(name)
        for name, from_ in status["changed"].items()
        if "profile" not in from_
    }
    said = [f"profile {status['profile']}"] if status["profile"] else []
    said += [f"{name} {shown(name, value)}" for name, value in own.items()]
    if status["problem"]:
        said.append(f"key terms as before: {status['problem']}")
    return ", ".join(said)


def in_force(status: Mapping[str, Any]) -> str:
    """Say in a line what sessions go by, and what of it is changed."""
    values, changed, live = status["values"], status["changed"], status["live"]
    said = [f"profile {status['profile']}"] if status["profile"] else []
    for name in (name for name in values if name in live):
        source = changed.get(name, "")
        note = f" ({'changed' if source == UNTIL_RESET else source})" if source else ""
        said.append(f"{name} {shown(name, values[name])}{note}")
    if status["without_effect"]:
        said.append(f"without effect: {', '.join(status['without_effect'])}")
    if status["problem"]:
        said.append(f"key terms as before: {status['problem']}")
    return ", ".join(said)


def shown(name: str, value: Any) -> str:
    """Shorten a value to what a glance takes in."""
    if value in (None, "", [], ()):
        return "cleared"
    if name in LISTS:
        return f"{len(value)} {'terms' if name == 'keyterms_prompt' else 'languages'}".replace(
            "1 terms", "1 term"
        )
    if name in TEXTS:
        return f"{len(value)} characters"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
