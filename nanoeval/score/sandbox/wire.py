"""What both Python processes of a sandbox share: limits, and plain values as JSON. A value is data and never code: what is no
plain value arrives as an object that equals nothing."""
import collections
import ctypes
import decimal
import fractions
import itertools
import json
import os
import random
import resource
import sys
import time

MOST = 1_000_000  # items of an endless iterator


class Opaque:
    """Stands for a value of a kind that cannot be sent."""

    __hash__ = object.__hash__

    def __init__(self, kind):
        self.kind = kind

    def __repr__(self):
        return f"<{self.kind}>"


def pack(value):
    """A value as JSON: numbers, texts, True, False and None as they are, the rest as [tag, ...]."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(2**53) < value < 2**53 else ["i", hex(value)]
    if kind is float:
        return ["f", repr(value)]
    if kind is list:
        return ["l", *map(pack, value)]
    if kind is tuple:
        return ["t", *map(pack, value)]
    if kind is dict:
        return ["d", *([pack(key), pack(one)] for key, one in value.items())]
    return pack_rare(value, kind)


def pack_rare(value, kind):
    for base, tag in (set, "s"), (frozenset, "z"), (collections.deque, "q"):
        if isinstance(value, base):
            return [tag, *map(pack, base.__iter__(value))]
    for base in bool, int, float, str, list, tuple, dict:
        # A subclass (a named tuple, a Counter, a flag) counts as what it is made of.
        if isinstance(value, base) and kind is not base:
            return pack(dict(dict.items(value)) if base is dict else str.__str__(value) if base is str else base(value))
    if kind is bytes or kind is bytearray:
        return ["b" if kind is bytes else "y", bytes(value).hex()]
    if kind is complex:
        return ["c", repr(value.real), repr(value.imag)]
    if kind is range:
        return ["r", *map(pack, (value.start, value.stop, value.step))]
    if kind is decimal.Decimal:
        return ["D", str(value)]
    if kind is fractions.Fraction:
        return ["F", pack(value.numerator), pack(value.denominator)]
    if kind is type({}.keys()) or kind is type({}.items()):
        return ["k", *map(pack, value)]
    if hasattr(kind, "__next__"):
        return ["g", *map(pack, itertools.islice(value, MOST))]
    return ["o", kind.__name__]


def unpack(data):
    """The value that `pack` made data of."""
    if not isinstance(data, list):
        return data
    tag, *parts = data
    if tag == "l":
        return [unpack(part) for part in parts]
    if tag == "t":
        return tuple(unpack(part) for part in parts)
    if tag == "d":
        return {unpack(key): unpack(one) for key, one in parts}
    if tag == "f":
        return float(parts[0])
    if tag == "i":
        return int(parts[0], 16)
    if tag == "o":
        return Opaque(str(parts[0]))
    made = {"s": set, "z": frozenset, "q": collections.deque, "g": iter, "k": lambda items: dict.fromkeys(items).keys()}
    if tag in made:
        return made[tag]([unpack(part) for part in parts])
    if tag in ("b", "y"):
        return (bytes if tag == "b" else bytearray).fromhex(parts[0])
    if tag == "c":
        return complex(float(parts[0]), float(parts[1]))
    if tag == "r":
        return range(*map(unpack, parts))
    if tag == "D":
        return decimal.Decimal(parts[0])
    if tag == "F":
        return fractions.Fraction(unpack(parts[0]), unpack(parts[1]))
    raise ValueError(f"no value: {tag!r}")


def described(error):
    """An exception as [name, message, place]; the place is the innermost line of the program or the test, if there is one."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in ("<program>", "<test>", "<prompt>"):
            place = f"line {trace.tb_lineno} of the {name[1:-1]}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and isinstance(error.lineno, int):
        return [type(error).__name__, str(error.msg)[:500], f"line {error.lineno} of the {str(error.filename)[1:-1]}"]
    try:
        message = str(error)[:500]
    except BaseException:
        # The program's own exception may fail here too: it has a name and no message.
        message = ""
    return [type(error).__name__, message, place]


def entered(uid, limits):
    """Becomes the user `uid` (root alone; 0 for everyone else), takes the limits on, and gives the two ends of the wire."""
    source, target = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n"), os.fdopen(os.dup(1), "w", encoding="ascii")
    void = os.open("/dev/null", os.O_RDWR)
    for number in 0, 1, 2:
        os.dup2(void, number)
    os.close(void)
    os.umask(0o077)
    os.environ.clear()
    sys.path[:] = [path for path in sys.path if path]
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG: it is killed with its parent. Behind setuid, which takes it back.
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    for name, most in limits.items():
        number = getattr(resource, "RLIMIT_" + name)
        if name == "CPU":
            most = int(time.process_time()) + 1 + most
            resource.setrlimit(number, (most, most + 1))
        else:
            resource.setrlimit(number, (most, most))
    random.seed(0)
    return source, target


def say(target, message):
    target.write(json.dumps(message, separators=(",", ":")) + "\n")
    target.flush()
