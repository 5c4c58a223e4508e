"""Illegal and legal-but-strange bodies, and what each must get: the table behind `test_corpus`.

The plant has four sensors. QUESTION in a body stands for what a verb is asked with, and ESCAPED for the same with a
letter of its name escaped. Values that nobody may see again hold SECRET or NUMBER.
"""

from typing import NamedTuple

SECRET = b"hunter2"
NUMBER = b"7712309"
QUESTIONS = {
    "encode": b'"rows":[[1,2,3,4]]',
    "reconstruct": b'"rows":[[1,2,3,4]]',
    "score": b'"rows":[[1,2,3,4]]',
    "sample": b'"given":[1,2,3,4]',
}
ESCAPED = {
    verb: text.replace(b'"rows"', rb'"r\u006fws"').replace(b'"given"', rb'"\u0067iven"')
    for verb, text in QUESTIONS.items()
}


class Refusal(NamedTuple):
    """The code of a refusal, and the place of its first fault where it tells one."""

    code: str
    pointer: str | None = None


NOT_JSON = Refusal("invalid-json")
EMPTY = Refusal("empty-body")
NO_OBJECT = Refusal("shape", "")

ENVELOPES: dict[bytes, Refusal] = {
    b"": EMPTY,
    b" ": NOT_JSON,
    b"\n\n": NOT_JSON,
    b"\t\r\n ": NOT_JSON,
    b"\x00": NOT_JSON,
    b"\x00{QUESTION}": NOT_JSON,
    b"hunter2": NOT_JSON,
    b"QUESTION": NOT_JSON,
    b"{": NOT_JSON,
    b"}": NOT_JSON,
    b"{QUESTION": NOT_JSON,
    b'{"': NOT_JSON,
    b"{QUESTION}}": NOT_JSON,
    b"{QUESTION}]": NOT_JSON,
    b"{QUESTION} hunter2": NOT_JSON,
    b"{QUESTION}\x00": NOT_JSON,
    b"{QUESTION}\x1a": NOT_JSON,
    b"{QUESTION}\x0c": NOT_JSON,
    b"\xa0{QUESTION}": NOT_JSON,
    b"\xc2\xa0{QUESTION}": NOT_JSON,
    b"{QUESTION}{QUESTION}": NOT_JSON,
    b"{QUESTION}\n{QUESTION}": NOT_JSON,
    b"{QUESTION},{QUESTION}": NOT_JSON,
    b"{QUESTION},": NOT_JSON,
    b"{QUESTION,}": NOT_JSON,
    b"{,QUESTION}": NOT_JSON,
    b"{QUESTION;}": NOT_JSON,
    b"{QUESTION QUESTION}": NOT_JSON,
    b"{'x':1,QUESTION}": NOT_JSON,
    b"{x:1,QUESTION}": NOT_JSON,
    b"{1:1,QUESTION}": NOT_JSON,
    b"{null:1,QUESTION}": NOT_JSON,
    b'{"x",QUESTION}': NOT_JSON,
    b'{"x":,QUESTION}': NOT_JSON,
    b'{"x"=1,QUESTION}': NOT_JSON,
    b"// hunter2\n{QUESTION}": NOT_JSON,
    b"/* hunter2 */{QUESTION}": NOT_JSON,
    b"# hunter2\n{QUESTION}": NOT_JSON,
    b"{QUESTION/* hunter2 */}": NOT_JSON,
    b"({QUESTION})": NOT_JSON,
    b"f({QUESTION});": NOT_JSON,
    b")]}',\n{QUESTION}": NOT_JSON,
    b"data: {QUESTION}\n\n": NOT_JSON,
    b"13\r\n{QUESTION}\r\n0\r\n\r\n": NOT_JSON,
    b"\x1e{QUESTION}\n": NOT_JSON,
    b"<rows>7712309</rows>": NOT_JSON,
    b"rows=7712309&explain=hunter2": NOT_JSON,
    b'--x\r\nContent-Disposition: form-data; name="rows"\r\n\r\n7712309\r\n--x--': NOT_JSON,
    b"temperature,pressure\r\n7712309,2\r\n": NOT_JSON,
    b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04rows\x94]\x94s.": NOT_JSON,
    b"\x81\xa4rows\x91\x94\x01\x02\x03\x04": NOT_JSON,
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00": NOT_JSON,
    b"\xef\xbb\xbf{QUESTION}": NOT_JSON,
    b"{QUESTION}\xef\xbb\xbf": NOT_JSON,
    '{"x":1}'.encode("utf-16"): NOT_JSON,
    '{"x":1}'.encode("utf-16-le"): NOT_JSON,
    '{"x":1}'.encode("utf-16-be"): NOT_JSON,
    '{"x":1}'.encode("utf-32"): NOT_JSON,
    b'{"\xff":1,QUESTION}': NOT_JSON,
    b'{"\xc0\xaf":1,QUESTION}': NOT_JSON,
    b'{"\xe2\x82":1,QUESTION}': NOT_JSON,
    b'{"\xed\xa0\x80":1,QUESTION}': NOT_JSON,
    b'{"\xf4\x90\x80\x80":1,QUESTION}': NOT_JSON,
    b'{"fl\xfcchtig":1,QUESTION}': NOT_JSON,
    rb'{"\ud800":1,QUESTION}': NOT_JSON,
    rb'{"\udc00":1,QUESTION}': NOT_JSON,
    rb'{"\ude00\ud83d":1,QUESTION}': NOT_JSON,
    rb'{"\x41":1,QUESTION}': NOT_JSON,
    rb'{"\u12":1,QUESTION}': NOT_JSON,
    b'{"a\tb":1,QUESTION}': NOT_JSON,
    b'{"a\x1fb":1,QUESTION}': NOT_JSON,
    b"[" * 100_000: NOT_JSON,
    b"[" * 100_000 + b"]" * 100_000: NOT_JSON,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: NOT_JSON,
    b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b",QUESTION}": NOT_JSON,
    b"[]": NO_OBJECT,
    b"[{QUESTION}]": NO_OBJECT,
    b"[[1,2,3,7712309]]": NO_OBJECT,
    b"null": NO_OBJECT,
    b"true": NO_OBJECT,
    b"7712309": NO_OBJECT,
    b"-0.0": NO_OBJECT,
    b'"hunter2"': NO_OBJECT,
    rb'"{\"rows\":[[1,2,3,4]]}"': NO_OBJECT,
    b'{"x":7712309,QUESTION}': Refusal("unknown-field", "/x"),
    b'{"x":"hunter2",QUESTION}': Refusal("unknown-field", "/x"),
    b'{"x":[7712309],QUESTION}': Refusal("unknown-field", "/x"),
    b'{"x":{"x":"hunter2"},QUESTION}': Refusal("unknown-field", "/x"),
    b'{"x":' + b"[" * 500 + b"]" * 500 + b",QUESTION}": Refusal("unknown-field", "/x"),
    b'{QUESTION,"x":null}': Refusal("unknown-field", "/x"),
    b'{"":7712309,QUESTION}': Refusal("unknown-field", "/"),
    b'{"Rows":7712309,QUESTION}': Refusal("unknown-field", "/Rows"),
    b'{"rows ":7712309,QUESTION}': Refusal("unknown-field", "/rows "),
    b'{"__proto__":7712309,QUESTION}': Refusal("unknown-field", "/__proto__"),
    b'{"a/b~c":7712309,QUESTION}': Refusal("unknown-field", "/a~1b~0c"),
    b'{"a\x7fb":1,QUESTION}': Refusal("unknown-field", "/a\x7fb"),
    rb'{"\u0000":1,QUESTION}': Refusal("unknown-field", "/\x00"),
    rb'{"\"]}":1,QUESTION}': Refusal("unknown-field", '/"]}'),
    rb'{"\ud83d\ude00":1,QUESTION}': Refusal("unknown-field", "/😀"),
    '{"ρ":1,QUESTION}'.encode(): Refusal("unknown-field", "/ρ"),
    b'{"' + b"n" * 65 + b'":1,QUESTION}': Refusal("unknown-field", "/" + "n" * 64),
    b'{"' + b"n" * 300_000 + b'":1,QUESTION}': Refusal("unknown-field", "/" + "n" * 64),
    b'{"' + b"~" * 300_000 + b'":1,QUESTION}': Refusal("unknown-field", "/" + "~0" * 64),
    b'{"' + rb"\u20ac" * 50_000 + b'":1,QUESTION}': Refusal("unknown-field", "/" + "€" * 64),
    b"{" + b",".join(b'"n%d":1' % name for name in range(50_000)) + b",QUESTION}": Refusal("unknown-field", "/n0"),
    b'{"x":1,"x":1,QUESTION}': Refusal("duplicate-key", "/x"),
    rb'{"x":1,"\u0078":1,QUESTION}': Refusal("duplicate-key", "/x"),
}
"""Whole bodies, whatever the verb."""

GIVEN_TWICE = (b"{QUESTION,QUESTION}", b"{QUESTION,ESCAPED}", b"{ESCAPED,QUESTION}")
"""Whole bodies in which the question is put twice: `duplicate-key` at its field."""

BEYOND_DOUBLE = Refusal("invalid-json", "/0")
TOO_LARGE = Refusal("number-out-of-range", "/0")
NO_NUMBER = Refusal("not-a-number", "/0")
NESTED = Refusal("shape", "/0")
NO_ROW = Refusal("shape", "")
WIDTH = Refusal("dimension-mismatch", "")

ROWS: dict[bytes, Refusal] = {
    **{
        b"[" + number + b",2,3,4]": NOT_JSON
        for number in (
            *(b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"+Infinity", b"1.#INF"),
            *(b"+7712309", b"07712309", b"-07712309", b".7712309", b"7712309.", b"-.5", b"7712309e", b"7712309e+"),
            *(b"7712309.e5", b"7712309e1.5", b"7712309.5.5", b"-", b"--7712309", b"- 1", b"1 e5", b"1e 5", b"0x1F"),
            *(b"0b1", b"0o7", b"7_712_309", b"7712309f", b"7712309L", b"7712309n", b"7712309%", b"1/2", b"(1)", b"1+1"),
            *(b"$1", b"'7712309'", b"`1`", b"undefined", b"None", b"True", b"TRUE", b"Null", b"nil", b"hunter2"),
            *("∞".encode(), "٣".encode(), "１".encode(), "−1".encode(), b"\xff", b"1\x00", b"1\xa0", b"1\x0b"),
            *(b'"hunter2', b'"\n"', b'"\x00"', rb'"\ud800"', rb'"\udc00hunter2"', rb'"\u00g0"', b'"\xc3"', b""),
            *(b"/**/1", b"[1", b"1]", b"{", b"]", b"{1}", b'{"flow"}', b'{"flow":}'),
        )
    },
    b"[1,2,3,7712309,]": NOT_JSON,
    b"[1,2,3,7712309": NOT_JSON,
    b"[1,2,3,7712309}": NOT_JSON,
    b"[1 2 3 7712309]": NOT_JSON,
    b"[1;2;3;7712309]": NOT_JSON,
    b"(1,2,3,7712309)": NOT_JSON,
    b'{"flow":7712309,}': NOT_JSON,
    b'{"flow" 7712309}': NOT_JSON,
    b"{flow:7712309}": NOT_JSON,
    b"{'flow':7712309}": NOT_JSON,
    b'{"flow":7712309]': NOT_JSON,
    b'{"flow":NaN}': NOT_JSON,
    b"[1e400,2,3,4]": BEYOND_DOUBLE,
    b"[-1e400,2,3,4]": BEYOND_DOUBLE,
    b"[1e99999999999999999999,2,3,4]": BEYOND_DOUBLE,
    b"[1" + b"0" * 309 + b",2,3,4]": BEYOND_DOUBLE,
    b"[1" + b"0" * 5000 + b",2,3,4]": BEYOND_DOUBLE,
    b"[1" + b"0" * 100_000 + b",2,3,4]": BEYOND_DOUBLE,
    b"[1" + b"0" * 100_000 + b".5,2,3,4]": BEYOND_DOUBLE,
    b'{"flow":1e999}': Refusal("invalid-json", "/flow"),
    b"[1.7976931348623157e308,2,3,4]": TOO_LARGE,
    b"[1e39,2,3,4]": TOO_LARGE,
    b"[-1e39,2,3,4]": TOO_LARGE,
    b"[3.4028236e38,2,3,4]": TOO_LARGE,
    b"[340282356779733661637539395458142568448,2,3,4]": TOO_LARGE,
    b"[-340282356779733661637539395458142568448.0,2,3,4]": TOO_LARGE,
    b"[1" + b"0" * 59 + b",2,3,4]": TOO_LARGE,
    b"[7712309" + b"0" * 40 + b",2,3,4]": TOO_LARGE,
    b"[7712309e200,2,3,4]": TOO_LARGE,
    b'{"flow":1e39}': Refusal("number-out-of-range", "/flow"),
    **{
        b'["' + text + b'",2,3,4]': NO_NUMBER
        for text in (
            *(b"nan", b"inf", b"-Infinity", b"7712309", b"7_712_309", b" 7712309 ", b"", b" ", b"null", b"hunter2"),
            *(rb"\u0031", rb"\ud83d\ude00", rb"\"", rb"\\", b"[1]", b"1,2", b"hunter2" * 20_000, rb"\"" * 50_000),
        )
    },
    b"[true,2,3,4]": NO_NUMBER,
    b"[false,2,3,4]": NO_NUMBER,
    b"[1,2,3,true]": Refusal("not-a-number", "/3"),
    b'{"flow":"7712309"}': Refusal("not-a-number", "/flow"),
    b'{"flow":true}': Refusal("not-a-number", "/flow"),
    b"[[],2,3,4]": NESTED,
    b"[[7712309],2,3,4]": NESTED,
    b"[{},2,3,4]": NESTED,
    b'[{"flow":7712309},2,3,4]': NESTED,
    b"[[1,2,3,4]]": NESTED,
    b"[" * 500 + b"]" * 500: NESTED,
    b'{"flow":[7712309]}': Refusal("shape", "/flow"),
    b'{"flow":{"flow":7712309}}': Refusal("shape", "/flow"),
    b"[]": WIDTH,
    b"[7712309]": WIDTH,
    b"[1,2,7712309]": WIDTH,
    b"[1,2,3,4,7712309]": WIDTH,
    b"[1,2,3,4,null]": WIDTH,
    b"[1,2,3,4,[]]": WIDTH,
    b'[1,2,3,4,"hunter2"]': WIDTH,
    b"[7,712,309,7,712,309,1,1]": WIDTH,
    b"[" + b"7712309," * 50_000 + b"1]": WIDTH,
    b"null": NO_ROW,
    b"7712309": NO_ROW,
    b"true": NO_ROW,
    b'"hunter2"': NO_ROW,
    b'{"level":7712309}': Refusal("unknown-sensor", "/level"),
    b'{"Flow":7712309}': Refusal("unknown-sensor", "/Flow"),
    b'{"flow ":7712309}': Refusal("unknown-sensor", "/flow "),
    b'{"":7712309}': Refusal("unknown-sensor", "/"),
    b'{"0":7712309}': Refusal("unknown-sensor", "/0"),
    b'{"a/b~c":7712309}': Refusal("unknown-sensor", "/a~1b~0c"),
    b'{"flow":1,"level":[7712309]}': Refusal("unknown-sensor", "/level"),
    '{"ﬂow":1}'.encode(): Refusal("unknown-sensor", "/ﬂow"),
    b'{"flow}":1}': Refusal("unknown-sensor", "/flow}"),
    b'{"flow],[":1}': Refusal("unknown-sensor", "/flow],["),
    b'{"' + b"n" * 300_000 + b'":1}': Refusal("unknown-sensor", "/" + "n" * 64),
    b"{" + b",".join(b'"n%d":1' % name for name in range(50_000)) + b"}": Refusal("unknown-sensor", "/n0"),
    b'{"flow":1,"flow":1}': Refusal("duplicate-key", "/flow"),
    b'{"flow":1,"flow":null}': Refusal("duplicate-key", "/flow"),
    rb'{"flow":1,"flo\u0077":1}': Refusal("duplicate-key", "/flow"),
    rb'{"\u0066low":1,"flow":1}': Refusal("duplicate-key", "/flow"),
    b'{"level":1,"level":1}': Refusal("duplicate-key", "/level"),
}
"""One row: the second of `rows` at three verbs, what is `given` to `/sample`, or a line of a stream."""

_LIMIT = b"340282356779733661637539395458142568447"
LEGAL_ROWS: tuple[bytes, ...] = (
    b"[1,2,3,4]",
    b" [ 1 ,\t2 ,\r3 ,4 ] ",
    b"[\n1,\n2,\n3,\n4\n]",
    b"[-0.0,-0,0e0,-0E-5]",
    b"[1e-400,-1e-400,5e-324,-4.9406564584124654e-324]",
    b"[2e-324,3e-324,2.2250738585072011e-308,2.2250738585072014e-308]",
    b"[3.4028235e38,-3.4028235e38,1e38,-1E+38]",
    b"[3.4028235677973362e38,-3.4028235677973362e38,1,1]",
    b"[340282356779733628299082829823435997184,1,1,1]",
    b"[340282356779733590000000000000000000000.9,1,1,1]",
    b"[9007199254740993,9007199254740992.5,-9007199254740993,18446744073709551616]",
    b"[9223372036854775807,-9223372036854775808,18446744073709551615,1180591620717411303424]",
    b"[1e23,8.5e22,1.00000000000000011102230246251565404236316680908203125,1.00000000000000011102230246251565404236316680908203126]",
    b"[6631236846766476e-316,9.5367431640625e-7,123456789012345678901234567890,0.1]",
    b"[1e0000000000000000000005,1e-0000005,1E5,1e+5]",
    b"[0." + b"1" * 100_000 + b",1,1,1]",
    b"[1" + b"0" * 30 + b"." + b"7" * 5000 + b",1,1,1]",
    b"[1" + b"0" * 5000 + b"e-4990,1,1,1]",
    b"[0." + b"0" * 5000 + b"1e5002,1,1,1]",
    b"[0e99999999999,1e-99999999999,1,1]",
    b"[null,null,null,null]",
    b"[1,null,-0.0,null]",
    b"{}",
    b" { } ",
    b'{"flow":null}',
    b'{"valve":1,"flow":2,"pressure":3,"temperature":4}',
    b'{"pressure":1e-400,"flow":-0.0}',
    rb'{"\u0066l\u006Fw":1,"v\u0061lve":2}',
    b'{\n"flow"\t:\r1 }',
)
"""One row each that is answered, strange as it is."""

TOO_MANY = b'{"rows":[' + b"[1,2,3,4]," * 16_384 + b"[1,2,3,4]]}"
ROWS_FIELDS: dict[bytes, Refusal] = {
    b"{}": Refusal("missing-field", "/rows"),
    b'{"rows":null}': Refusal("shape", "/rows"),
    b'{"rows":7712309}': Refusal("shape", "/rows"),
    b'{"rows":true}': Refusal("shape", "/rows"),
    b'{"rows":"hunter2"}': Refusal("shape", "/rows"),
    b'{"rows":{}}': Refusal("shape", "/rows"),
    b'{"rows":{"flow":7712309}}': Refusal("shape", "/rows"),
    b'{"rows":{"rows":[[1,2,3,4]]}}': Refusal("shape", "/rows"),
    b'{"rows":[]}': Refusal("no-rows", "/rows"),
    b'{"rows":[ ]}': Refusal("no-rows", "/rows"),
    b'{"rows":[1,2,3,7712309]}': Refusal("shape", "/rows/0"),
    b'{"rows":[[[1,2,3,7712309]]]}': Refusal("shape", "/rows/0/0"),
    b'{"rows":[[1,2,3,4],{"flow":1},[1,2,3]]}': Refusal("dimension-mismatch", "/rows/2"),
    b'{"rows":[{"flow":1},[1,2,3,4],{"level":7712309}]}': Refusal("unknown-sensor", "/rows/2/level"),
    b'{"rows":[[1,2,3,4],{"flow":1},{"flow":1,"flow":2}]}': Refusal("duplicate-key", "/rows/2/flow"),
    TOO_MANY: Refusal("too-many-rows", "/rows"),
    b'{"rows":[' + b"{}," * 20_000 + b"{}]}": Refusal("too-many-rows", "/rows"),
    b'{"rows":[' + b"[]," * 30_000 + b"[]]}": Refusal("dimension-mismatch", "/rows/0"),
    b'{"rows":[' + b"null," * 100_000 + b"null]}": Refusal("shape", "/rows/0"),
    b'{"rows":[[' + b"null," * 100_000 + b"null]]}": Refusal("dimension-mismatch", "/rows/0"),
    b'{"rows":[' + b"[1,2,3,4]," * 16_383 + b"[1,2,3,true]]}": Refusal("not-a-number", "/rows/16383/3"),
    b'{"rows":[' + b"[1,2,3,4]," * 16_383 + b'{"flow":1,"flow":1}]}': Refusal("duplicate-key", "/rows/16383/flow"),
    b'{"rows":[' + b"[1,2,3,4]," * 16_383 + b"[1,2,3,4]": NOT_JSON,
    b'{"rows":[' + b'{"flow":1},' * 16_383 + b'{"flow":1},]}': NOT_JSON,
    b'{"rows":[[1,2,3,4],}': NOT_JSON,
    b'{"rows":[[1,2,3,4][1,2,3,4]]}': NOT_JSON,
    b'{"rows":[[1,2,3,4],,[1,2,3,4]]}': NOT_JSON,
}
"""`rows` that is wrong as a whole, at the verbs that take it."""

_INTEGERS = (b"0.5", b"-1", b"true", b"null", b'"7712309"', b"[]", b"{}", b"1e300", b"-1e300", b"1.0000000000000002")
_SEEDS = (*_INTEGERS, b"9223372036854775808", b"18446744073709551616", b"1" + b"0" * 60)
_NO_NUMBERS = (b"null", b"true", b"[]", b"{}", b'"0.01"', b'"hunter2"', b"[0.01]")
_ASKED = QUESTIONS["score"]
SCORE_OPTIONS: dict[bytes, Refusal] = {
    **{
        b"{%s,%s:%s}" % (_ASKED, b'"' + name + b'"', value): Refusal("invalid-option", "/" + name.decode())
        for name in (b"false_alarm_rate", b"fdr")
        for value in _NO_NUMBERS
    },
    **{
        b'{%s,"explain":%s}' % (_ASKED, value): Refusal("invalid-option", "/explain")
        for value in (b"1", b"0", b"null", b'"true"', b"[]", b"{}", b"[true]")
    },
    **{
        b'{%s,"bound":%s}' % (_ASKED, value): Refusal("invalid-option", "/bound")
        for value in (b"7712309", b"null", b"true", b'"hunter2"', b"[]", b"[64,1]")
    },
    **{
        b'{%s,"bound":{"draws":%s,"seed":1}}' % (_ASKED, value): Refusal("invalid-option", "/bound/draws")
        for value in (*_INTEGERS, b"0", b"1025", b"7712309")
    },
    **{
        b'{%s,"bound":{"draws":4,"seed":%s}}' % (_ASKED, value): Refusal("invalid-option", "/bound/seed")
        for value in _SEEDS
    },
    b'{%s,"bound":{}}' % _ASKED: Refusal("missing-field", "/bound/draws"),
    b'{%s,"bound":{"draws":4}}' % _ASKED: Refusal("missing-field", "/bound/seed"),
    b'{%s,"bound":{"seed":4}}' % _ASKED: Refusal("missing-field", "/bound/draws"),
    b'{%s,"bound":{"draws":4,"seed":1,"k":7712309}}' % _ASKED: Refusal("unknown-field", "/bound/k"),
    b'{%s,"bound":{"draws":4,"seed":1,"draws":4}}' % _ASKED: Refusal("duplicate-key", "/bound/draws"),
    rb'{%s,"bound":{"draws":4,"seed":1,"s\u0065ed":1}}' % _ASKED: Refusal("duplicate-key", "/bound/seed"),
    b'{%s,"explain":true,"explain":true}' % _ASKED: Refusal("duplicate-key", "/explain"),
    b'{%s,"fdr":1e400}' % _ASKED: Refusal("invalid-json", "/fdr"),
    b'{%s,"bound":{"draws":4,"seed":1%s}}' % (_ASKED, b"0" * 400): Refusal("invalid-json", "/bound/seed"),
    b'{%s,"seed":7712309}' % _ASKED: Refusal("unknown-field", "/seed"),
    b'{%s,"count":7712309}' % _ASKED: Refusal("unknown-field", "/count"),
    **{
        b'{%s,"false_alarm_rate":%s}' % (_ASKED, value): Refusal("rate-out-of-range", "/false_alarm_rate")
        for value in (b"0", b"-0.0", b"-0.01", b"5e-324", b"0.0009", b"0.5000000000000001", b"1", b"7712309", b"1e308")
    },
    **{
        b'{%s,"fdr":%s}' % (_ASKED, value): Refusal("rate-out-of-range", "/fdr")
        for value in (b"0", b"-0.0", b"-0.01", b"0.5000000000000001", b"1", b"7712309", b"1e308")
    },
    b'{"rows":[' + b"[1,2,3,4]," * 4096 + b'[1,2,3,4]],"explain":true}': Refusal("too-many-rows", "/rows"),
    b'{"rows":[' + b"[1,2,3,4]," * 256 + b'[1,2,3,4]],"bound":{"draws":1024,"seed":1}}': Refusal(
        "too-many-rows", "/rows"
    ),
}
"""Options of `/score`."""

LEGAL_SCORES: tuple[bytes, ...] = (
    b'{%s,"false_alarm_rate":0.001,"fdr":5e-324,"explain":false}' % _ASKED,
    b'{"fdr":0.5,"explain":true,"false_alarm_rate":5e-1,%s}' % _ASKED,
    b'{%s,"bound":{"draws":1.0,"seed":0}}' % _ASKED,
    b'{%s,"bound":{"seed":9223372036854775807,"draws":1.024e3}}' % _ASKED,
    b'{%s,"bound":{"seed":-0.0,"draws":1}}' % _ASKED,
    rb'{%s,"b\u006fund":{"s\u0065ed":1e2,"draws":2}}' % _ASKED,
    b'{"rows":[[1,2,3,4],{"flow":1},{},[null,null,null,null]],"explain":true,"fdr":0.1,"bound":{"draws":4,"seed":1}}',
)
"""Questions to `/score` that are answered."""

SAMPLE_OPTIONS: dict[bytes, Refusal] = {
    **{
        b'{"count":%s}' % value: Refusal("invalid-option", "/count")
        for value in (*_INTEGERS[:-3], b"0", b"-1e300", b"-0.0")
    },
    **{b'{"seed":%s}' % value: Refusal("invalid-option", "/seed") for value in _SEEDS},
    **{
        b'{"count":%s}' % value: Refusal("too-many-rows", "/count")
        for value in (b"16385", b"7712309", b"1e9", b"1e300")
    },
    b'{"count":1e400}': Refusal("invalid-json", "/count"),
    b'{"count":1%s}' % (b"0" * 5000): Refusal("invalid-json", "/count"),
    b'{"seed":NaN}': NOT_JSON,
    b'{"count":1,"count":1}': Refusal("duplicate-key", "/count"),
    rb'{"seed":1,"s\u0065ed":1}': Refusal("duplicate-key", "/seed"),
    b'{"rows":[[1,2,3,7712309]]}': Refusal("unknown-field", "/rows"),
    b'{"n":7712309}': Refusal("unknown-field", "/n"),
    b'{"explain":true}': Refusal("unknown-field", "/explain"),
    b'{"given":[[1,2,3,7712309]]}': Refusal("shape", "/given/0"),
}
"""Options of `/sample`."""

LEGAL_SAMPLES: tuple[bytes, ...] = (
    b"{}",
    b" \t\r\n{ } \n",
    b'{"count":5.0,"seed":1e2}',
    b'{"seed":9223372036854775807,"count":1}',
    b'{"seed":-0,"count":2.5e1}',
    b'{"seed":0,"count":16384}',
    rb'{"c\u006funt":2,"seed":3}',
)
"""Questions to `/sample` that are answered."""
