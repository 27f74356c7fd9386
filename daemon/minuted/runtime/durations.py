"""Lengths of time as people read them. Pure."""


def duration(seconds: float) -> str:
    """Return a length in its two largest units: `2 d 7 h`, `3 h`, `1 min 0 s`, `12 s`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h" if hour else f"{days} d"
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    return f"{minute} min {second} s" if minutes else f"{second} s"


def rough(seconds: float) -> str:
    """Return a length as a glance takes it in: it changes seldom."""
    if seconds < 60:
        return f"{max(1, int(seconds) // 10 * 10 or int(seconds))} s"
    minutes = int(seconds) // 60
    return f"{minutes} min" if minutes < 60 else duration(minutes * 60)


def brief(seconds: float) -> str:
    """Return a length to a tenth where it is short: `4.2 s`, `1.5 min`, `3 h 20 min`, `2 d 7 h`."""
    if seconds < 59.95:
        return f"{max(0.0, seconds):.1f} s"
    tenths = round(seconds / 6)
    if tenths < 600:
        return f"{tenths // 10} min" if tenths % 10 == 0 else f"{tenths / 10:.1f} min"
    return duration(round(seconds / 60) * 60)
