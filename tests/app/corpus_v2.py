"""Illegal and legal-but-strange inference requests, and what each must get: the table behind `test_corpus_v2`.

The plant has four sensors. Values that nobody may see again hold `hunter2` or 7712309.
"""

import struct

X = b'{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}'
FLOW = b'{"name":"flow","shape":[1],"datatype":"FP64","data":[1]}'
ROW = struct.pack("<4d", 1, 2, 3, 4)


def tensor(
    shape: bytes = b"[1,4]", data: bytes = b"[1,2,3,4]", datatype: bytes = b'"FP64"', name: bytes = b'"x"'
) -> bytes:
    """A request of one input."""
    return b'{"inputs":[{"name":%s,"shape":%s,"datatype":%s,"data":%s}]}' % (name, shape, datatype, data)


def raw(size: bytes, shape: bytes = b"[1,4]", datatype: bytes = b'"FP64"') -> bytes:
    """The JSON before a binary tensor that says how many bytes it has."""
    text = b'{"inputs":[{"name":"x","shape":%s,"datatype":%s,"parameters":{"binary_data_size":%s}}]}'
    return text % (shape, datatype, size)


def asked(more: bytes) -> bytes:
    """A good input, and more beside it."""
    return b'{"inputs":[%s],%s}' % (X, more)


JSON: dict[bytes, str] = {
    b"": "empty-body",
    **dict.fromkeys(
        (
            *(
                b" ",
                b"\n",
                b"\x00",
                b"hunter2",
                b"{",
                b'{"inputs":[',
                b"Infinity",
                b"\xff",
                b"// hunter2\n{}",
            ),
            *(
                b'{"inputs":[' + X + b"]}}",
                b'{"inputs":[' + X + b"]} hunter2",
                b'{"inputs":[' + X + b"],}",
                b"{'inputs':[]}",
            ),
            b"\xef\xbb\xbf" + tensor(),
            tensor().decode().encode("utf-16"),
            tensor().decode().encode("utf-32-le"),
            tensor(data=b"[Infinity,2,3,4]"),
            tensor(data=b"[-NaN,2,3,4]"),
            tensor(data=b"[nan,2,3,4]"),
            tensor(data=b"[1,2,3,7712309,]"),
            tensor(data=b"[1,2,3,07712309]"),
            tensor(data=b"[1,2,3,+1]"),
            tensor(data=b"[1,2,3,.5]"),
            tensor(name=rb'"\ud800"'),
            tensor(name=b'"hunter2\xff"'),
            tensor(name=b'"a\nb"'),
            asked(rb'"id":"\udc00"'),
            asked(b'"any":' + b"[" * 100_000 + b"]" * 100_000),
        ),
        "invalid-json",
    ),
    **dict.fromkeys(
        (
            asked(b'"inputs":[]'),
            asked(b'"id":"a","id":"a"'),
            asked(rb'"id":"a","\u0069d":"a"'),
            asked(b'"parameters":{"priority":1,"priority":2}'),
            asked(b'"parameters":{},"parameters":{}'),
            asked(b'"any":{"x":[[{"y":1,"y":2}]]}'),
            asked(b'"any":1,"any":"hunter2"'),
            asked(b'"outputs":[{"name":"score","name":"score"}]'),
            asked(b'"outputs":[{"name":"score","parameters":{"binary_data":true,"binary_data":false}}]'),
            b'{"inputs":[{"name":"x","shape":[1,4],"shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}',
            b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4],"data":[1,2,3,4]}]}',
            rb'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","d\u0061ta":[1,2,3,4],"data":[1,2,3,4]}]}',
            rb'{"id":"\u0022\u0022","inputs":[%s],"inputs":[%s]}' % (X, X),
        ),
        "duplicate-key",
    ),
    **dict.fromkeys(
        (
            *(
                b"[]",
                b"null",
                b"7712309",
                b'"hunter2"',
                b"true",
                b"{}",
                b'{"rows":[[1,2,3,7712309]]}',
                b'{"Inputs":[]}',
            ),
            *(
                b'{"inputs":null}',
                b'{"inputs":{}}',
                b'{"inputs":7712309}',
                b'{"inputs":"hunter2"}',
                b'{"inputs":[null]}',
            ),
            *(b'{"inputs":[[]]}', b'{"inputs":[{}]}', b'{"inputs":[{"name":"x"}]}', b'{"inputs":["hunter2"]}'),
            asked(b'"any":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
            asked(b'"any":[' + b"{}," * 2000 + b"{}]"),
            b'{"inputs":[' + (X + b",") * 2000 + X + b"]}",
            b"NaN",
            b"[1,]",
            b"[" * 100_000,
            tensor(name=b"7712309"),
            tensor(name=b"null"),
            tensor(datatype=b"64"),
            tensor(datatype=b"null"),
            tensor(shape=b"4"),
            tensor(shape=b"null"),
            tensor(shape=b'"1,4"'),
            tensor(shape=b'["1","4"]'),
            tensor(shape=b"[[1,4]]"),
            tensor(shape=b"[1.5,4]"),
            tensor(shape=b"[true,4]"),
            tensor(shape=b"[1,-4]"),
            tensor(shape=b"[-1,-4]"),
            tensor(shape=b"[1,1e99]"),
            tensor(shape=b"[1,18446744073709551617]"),
            tensor(shape=b"[1099511627777,4]"),
            tensor(shape=b"[1,1,1,1,1,1,1,1,4]"),
            raw(b"-1"),
            raw(b'"32"'),
            raw(b"1.5"),
            raw(b"1e99"),
            raw(b"9223372036854775808"),
            raw(b"true"),
            asked(b'"id":7712309'),
            asked(b'"parameters":[]'),
            asked(b'"parameters":{"binary_data_output":1}'),
            asked(b'"parameters":{"binary_data_output":"true"}'),
            asked(b'"parameters":{"false_alarm_rate":"0.1"}'),
            asked(b'"parameters":{"false_alarm_rate":true}'),
            asked(b'"outputs":{}'),
            asked(b'"outputs":["score"]'),
            asked(b'"outputs":[{"name":7712309}]'),
            asked(b'"outputs":[{"name":"score","parameters":{"binary_data":1}}]'),
        ),
        "shape",
    ),
    **dict.fromkeys((b'{"inputs":[]}', b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64"}]}'), "missing-field"),
    asked(b'"outputs":[{"name":"hunter2"}]'): "unknown-output",
    asked(b'"outputs":[{"name":""}]'): "unknown-output",
    asked(b'"outputs":[{"name":"score"},{"name":"score"}]'): "unknown-output",
    asked(b'"outputs":[{"name":"score","parameters":{"classification":1}}]'): "unsupported-parameter",
    asked(b'"outputs":[{"name":"score","parameters":{"shared_memory_region":"hunter2"}}]'): "unsupported-parameter",
    tensor(name=b'"hunter2"'): "unknown-sensor",
    tensor(name=b'""', shape=b"[1]", data=b"[1]"): "unknown-sensor",
    b'{"inputs":[%s,%s]}' % (FLOW, X): "unknown-sensor",
    b'{"inputs":[%s,%s]}' % (X, X): "unknown-sensor",
    b'{"inputs":[%s,%s]}' % (FLOW, FLOW): "unknown-sensor",
    **dict.fromkeys(
        (
            tensor(datatype=b'"%s"' % name)
            for name in (b"", b"FP16", b"BF16", b"BOOL", b"BYTES", b"fp64", b"float64", b"hunter2")
        ),
        "unsupported-datatype",
    ),
    **dict.fromkeys(
        (
            tensor(shape=b"[]"),
            tensor(shape=b"[4]"),
            tensor(shape=b"[4,1]"),
            tensor(shape=b"[1,3]", data=b"[1,2,3]"),
            tensor(shape=b"[1,5]", data=b"[1,2,3,4,5]"),
            tensor(shape=b"[1,0]", data=b"[]"),
            tensor(shape=b"[0,0]", data=b"[]"),
            tensor(shape=b"[1,1,4]"),
            tensor(shape=b"[1099511627776,1099511627776]"),
            tensor(shape=b"[2,4]"),
            tensor(data=b"[]"),
            tensor(data=b"[1,2,3]"),
            tensor(data=b"[1,2,3,4,7712309]"),
            tensor(data=b"[[1,2],[3,4]]"),
            tensor(data=b"[[1],[2],[3],[4]]"),
            tensor(data=b"[[1,2,3],[7712309]]"),
            tensor(data=b"[[],[1,2,3,4]]"),
            tensor(shape=b"[2,4]", data=b"[[1,2,3,4,5],[1,2,3]]"),
            tensor(shape=b"[2,4]", data=b"[[1,2,3,4,5,6,7,8]]"),
            tensor(name=b'"flow"', shape=b"[1,2]", data=b"[1,2]"),
            tensor(data=b"[" + b"1," * 500_000 + b"1]"),
            tensor(data=b"null"),
            tensor(data=b"7712309"),
            tensor(data=b'"hunter2"'),
            tensor(data=b"{}"),
        ),
        "dimension-mismatch",
    ),
    **dict.fromkeys(
        (
            tensor(data=b'["hunter2",2,3,4]'),
            tensor(data=b'["7712309",2,3,4]'),
            tensor(data=b"[true,2,3,4]"),
            tensor(data=b"[{},2,3,4]"),
            tensor(data=b"[[1,2,3],4]"),
            tensor(data=b"[1,[2,3,4]]"),
            tensor(data=b"[[[1,2,3,4]]]"),
            tensor(data=b"[[1,2],[[3,4]]]"),
            tensor(data=b'{"0":1,"1":2,"2":3,"3":7712309}'),
            tensor(data=b'"1,2,3,4"'),
            tensor(data=b"[1e400,2,3,4]"),
            tensor(data=b"[1" + b"0" * 5000 + b",2,3,4]"),
            tensor(data=b"[1.5,2,3,4]", datatype=b'"INT64"'),
            tensor(data=b"[128,2,3,4]", datatype=b'"INT8"'),
            tensor(data=b"[-1,2,3,4]", datatype=b'"UINT8"'),
            tensor(data=b"[1e30,2,3,4]", datatype=b'"INT64"'),
            tensor(data=b"[9223372036854775808,2,3,4]", datatype=b'"INT64"'),
            tensor(data=b"[18446744073709551616,2,3,4]", datatype=b'"UINT64"'),
        ),
        "not-a-number",
    ),
    tensor(data=b"[1e39,2,3,4]"): "number-out-of-range",
    tensor(data=b"[-1e39,2,3,4]"): "number-out-of-range",
    tensor(data=b"[3.4028236e38,2,3,4]"): "number-out-of-range",
    tensor(data=b"[340282356779733661637539395458142568448,2,3,4]"): "number-out-of-range",
    tensor(data=b"[[1,2,3,1.7976931348623157e308]]"): "number-out-of-range",
    tensor(shape=b"[0,4]", data=b"[]"): "no-rows",
    tensor(shape=b"[0]", data=b"[]", name=b'"flow"'): "no-rows",
    tensor(shape=b"[]", data=b"[1]", name=b'"flow"'): "no-rows",
    tensor(shape=b"[16385,4]"): "too-many-rows",
    tensor(shape=b"[1099511627776,4]"): "too-many-rows",
    asked(b'"parameters":{"false_alarm_rate":0}'): "rate-out-of-range",
    asked(b'"parameters":{"false_alarm_rate":-0.1}'): "rate-out-of-range",
    asked(b'"parameters":{"false_alarm_rate":0.51}'): "rate-out-of-range",
    asked(b'"parameters":{"false_alarm_rate":1e308}'): "rate-out-of-range",
}
"""Bodies that are all JSON, and the code of their refusal."""

HEADERS: tuple[bytes, ...] = (
    *(
        b"-1",
        b"+1",
        b"1.0",
        b"1e2",
        b"0x10",
        b"hunter2",
        b"",
        b" ",
        b"1 2",
        b"1,2",
        b"00x",
        "²".encode("latin-1"),
        b"NaN",
    ),
    *(b"9" * 18, b"9" * 19, b"9" * 5000, b"7712309"),
)
"""What Inference-Header-Content-Length must not say of a body of less than a megabyte: `invalid-header`."""

BINARY: tuple[tuple[bytes, bytes, int, str], ...] = (
    (raw(b"32"), ROW, -1, "invalid-json"),
    (raw(b"32"), ROW, 1, "invalid-json"),
    (raw(b"32"), ROW[:-1], 0, "dimension-mismatch"),
    (raw(b"32"), ROW + b"\x00", 0, "dimension-mismatch"),
    (raw(b"32"), b"", 0, "dimension-mismatch"),
    (raw(b"31"), ROW[:-1], 0, "dimension-mismatch"),
    (raw(b"0"), b"", 0, "dimension-mismatch"),
    (raw(b"1099511627776"), ROW, 0, "dimension-mismatch"),
    (raw(b"32", shape=b"[2,4]"), ROW, 0, "dimension-mismatch"),
    (raw(b"32", datatype=b'"FP32"'), ROW, 0, "dimension-mismatch"),
    (raw(b"32", shape=b"[1099511627776,1099511627776]"), ROW, 0, "dimension-mismatch"),
    (raw(b"32", shape=b"[1099511627776,4]"), ROW, 0, "too-many-rows"),
    (raw(b"0", shape=b"[0,4]"), b"", 0, "no-rows"),
    (raw(b"32", datatype=b'"BYTES"'), ROW, 0, "unsupported-datatype"),
    (raw(b"32"), struct.pack("<4d", float("inf"), 1, 2, 3), 0, "number-out-of-range"),
    (raw(b"32"), struct.pack("<4d", 1, 2, 3, -1e39), 0, "number-out-of-range"),
    (raw(b"16", datatype=b'"FP32"'), struct.pack("<4f", 1, 2, 3, float("-inf")), 0, "number-out-of-range"),
    (tensor(), ROW, 0, "dimension-mismatch"),
    (b'{"id":"\xe2\x82\xac","inputs":[%s]}' % X, b"", -len(b'\x82\xac","inputs":[]}' + X), "invalid-json"),
)
"""A body's JSON, the bytes behind it, how far the header is off, and the code of its refusal."""

RAW: dict[bytes, str] = {
    b"\x00": "dimension-mismatch",
    ROW[:-1]: "dimension-mismatch",
    ROW + b"\x00": "dimension-mismatch",
    ROW * 16_385: "too-many-rows",
    struct.pack("<4d", 1, 2, 3, float("inf")): "number-out-of-range",
    struct.pack("<4d", 3.5e38, 2, 3, 4): "number-out-of-range",
    struct.pack(">4d", 1e-300, 2, 3, 4.1): "number-out-of-range",
}
"""Bodies that are nothing but rows, as a header of 0 says, and the code of their refusal."""

LEGAL: tuple[bytes, ...] = (
    tensor(data=b"[-0.0,5e-324,1e-400,3.4028235677973362e38]"),
    tensor(data=b"[9007199254740993,1e23,0.%s,null]" % (b"1" * 100_000)),
    tensor(data=b" [ [ 1 ,\n2,\t3 ,4 ] ] ", shape=b"[ 1 , 4 ]"),
    tensor(data=b"[[1,2,3,4]]", datatype=b'"UINT8"'),
    tensor(data=b"[1.0,-2e0,300E-2,null]", datatype=b'"INT8"'),
    tensor(data=b"[NaN,2,NaN,4]"),
    tensor(name=rb'"\u0078"'),
    b'\t{"inputs" : [' + X + b"]\r\n}  ",
    asked(b'"id":null,"outputs":null,"parameters":null'),
    asked(b'"any":{"any":[1,"two",{"three":null}]},"model_name":"pump"'),
    asked(b'"parameters":{"timeout":1,"priority":0,"nested":{"priority":1}}'),
    asked(rb'"id":"\ud83d\ude00\u0022\\"'),
    asked(b'"any":' + b"[" * 100 + b"]" * 100),
    asked(b'"any":"' + rb"\"" * 100_000 + b'"'),
    asked(b'"any":[' + b'"",' * 100_000 + b"1]"),
)
"""Requests that are answered, strange as they are."""
