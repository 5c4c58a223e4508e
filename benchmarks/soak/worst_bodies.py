"""Bodies with nothing but faults, each of a kind that is expensive to read or to diagnose."""

from collections.abc import Iterator, Sequence

SCORE, INFER, INDEX = "/score", "/v2/models/reference/infer", "/v2/repository/index"


def worst_bodies(size: int, sensors: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """A path, a name and a body of about so many bytes, for a model with these sensors."""
    room, sensor = size - 200, sensors[0].encode()
    good = b"[" + b",".join([b"1"] * len(sensors)) + b"]"
    digits = b"[" + b",".join([b"0." + b"1" * (room // 16_384 // len(sensors) - 3)] * len(sensors)) + b"]"
    for name, item in {
        "nulls for rows": b"null",
        "strings for rows": b'""',
        "empty rows": b"[]",
        "short rows": b"[0]",
        "empty objects": b"{}",
        "rows of an unknown sensor": b'{"a":1}',
        "rows of one sensor": b'{"%s":1}' % sensor,
        "rows with a name twice": b'{"%s":1,"%s":1}' % (sensor, sensor),
        "too many rows": good,
    }.items():
        yield SCORE, name, _rows(_many(item, room))
    yield SCORE, "many digits, and one fault at the end", _rows(_joined([digits] * 16_383, b"[true]"))
    yield SCORE, "many digits in objects of a name twice", _rows(_joined([_twice(sensor, room)] * 1000))
    yield SCORE, "a fault at the end", _rows(_joined([good] * 16_383, b"[true]"))
    yield SCORE, "one row of zeros", _rows(b"[" + _many(b"0", room) + b"]")
    yield SCORE, "one row of strings", _rows(b"[" + _many(b'""', room) + b"]")
    yield SCORE, "one row of empty rows", _rows(b"[" + _many(b"[]", room) + b"]")
    yield (
        SCORE,
        "one row of many names",
        _rows(b"{" + b",".join(b'"n%d":1' % name for name in range(room // 12)) + b"}"),
    )
    yield SCORE, "one row of one name", _rows(b"{" + _many(b'"%s":1' % sensor, room) + b"}")
    yield SCORE, "a long number", _rows(b"[1" + b"0" * room + b"]")
    yield SCORE, "a long fraction", _rows(b"[0." + b"1" * room + b",true]")
    yield SCORE, "a long string", _rows(b'["' + b"x" * room + b'"]')
    yield SCORE, "a string of escapes", _rows(b'["' + rb"\"" * (room // 2) + b'"]')
    yield SCORE, "a long name", _rows(b'{"' + b"n" * room + b'":1}')
    yield SCORE, "a name of escapes", _rows(b'{"' + rb"\u20ac" * (room // 6) + b'":1}')
    yield SCORE, "a name beyond ASCII", _rows(b'{"' + "€".encode() * (room // 3) + b'":1}')
    yield SCORE, "brackets", b"[" * room
    yield SCORE, "brackets that close", b"[" * (room // 2) + b"]" * (room // 2)
    yield SCORE, "spaces", b" " * room
    yield SCORE, "no UTF-8 at the end", _rows(_many(good, room)) + b"\xff"
    yield SCORE, "unknown fields", b"{" + b",".join(b'"n%d":1' % name for name in range(room // 12)) + b"}"
    yield SCORE, "an unknown field", b'{"n":[' + _many(b"[]", room) + b"]}"
    yield SCORE, "one field again and again", b"{" + _many(b'"rows":1', room) + b"}"
    for name, data in {
        "v2: zeros": _many(b"0", room),
        "v2: rows": _many(good, room),
        "v2: empty rows": _many(b"[]", room),
        "v2: strings": _many(b'""', room),
        "v2: NaN": _many(b"NaN", room),
    }.items():
        yield INFER, name, _tensor(b"[" + data + b"]")
    yield INFER, "v2: a string of escapes", _tensor(b'"' + rb"\"" * (room // 2) + b'"')
    yield INFER, "v2: a name twice behind strings", _twice_behind(b"[" + _many(b'""', room) + b"]")
    yield INFER, "v2: a name twice behind objects", _twice_behind(b"[" + _many(b'{"a":1}', room) + b"]")
    yield INFER, "v2: a name twice behind zeros", _twice_behind(b"[" + _many(b"0", room) + b",[]]")
    yield INFER, "v2: NaN and a string of escapes", b'{"n":NaN,"id":"' + rb"\"" * (room // 2) + b'"}'
    yield INFER, "v2: inputs", b'{"inputs":[' + _many(b'{"name":"a","shape":[1],"datatype":"FP64"}', room) + b"]}"
    yield INDEX, "v2: the index", b'{"n":[' + _many(b"[]", room) + b"]}"


def _many(item: bytes, size: int) -> bytes:
    return b",".join([item] * max(1, size // (len(item) + 1)))


def _joined(items: Sequence[bytes], *more: bytes) -> bytes:
    return b",".join([*items, *more])


def _rows(rows: bytes) -> bytes:
    return b'{"rows":[' + rows + b"]}"


def _twice(sensor: bytes, room: int) -> bytes:
    digits = b"0." + b"1" * max(1, room // 2000 - 20)
    return b'{"%s":%s,"%s":%s}' % (sensor, digits, sensor, digits)


def _tensor(data: bytes) -> bytes:
    return b'{"inputs":[{"name":"x","shape":[1,8],"datatype":"FP64","data":' + data + b"}]}"


def _twice_behind(junk: bytes) -> bytes:
    return b'{"junk":' + junk + b',"id":"a","id":"a","inputs":[]}'
