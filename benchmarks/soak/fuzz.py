"""Bytes that atheris makes up, guided by what they reach: nothing but a refusal may be raised, and nothing misread."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.serving.server import ROOT
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place

SECONDS = 60
SEEDS: dict[str, tuple[bytes, ...]] = {
    "codec": (
        b'{"rows":[[1,2.5e-3,null],{"a":-0.0,"c":1e38}]}',
        b'{"rows":[[1,2,3]],"false_alarm_rate":0.1,"explain":true,"bound":{"draws":2,"seed":1},"fdr":0.2}',
        b'{"count":2,"seed":7,"given":{"\\u0061":1}}',
        b'{"rows":[[1e400,"x",true],[1,2],{"d":1,"d":1}]}',
    ),
    "infer": (
        b'\x00{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP64","data":[[1,2,NaN],[4,5,null]]}],"id":"1"}',
        b'\x00{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[1]}],"outputs":[{"name":"alarm"}]}',
        b'\x18{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP64","parameters":{"binary_data_size":24}}]}'
        + bytes(24),
        b"\xff" + bytes(48),
    ),
}
WORDS = (
    *('"rows"', '"given"', '"count"', '"seed"', '"bound"', '"draws"', '"explain"', '"fdr"', '"false_alarm_rate"'),
    *('"inputs"', '"outputs"', '"name"', '"shape"', '"datatype"', '"data"', '"parameters"', '"binary_data_size"'),
    *('"FP64"', '"FP32"', '"INT8"', '"x"', '"score"', "null", "true", "false", "NaN", "1e400", "3.4028235e38", "-0.0"),
    *("[[", "]]", "],[", "},{", "\\\\u0061", "\\\\ud800", "5.0", "1e2", "9223372036854775807"),
)


def fuzz(place: Place) -> Iterator[Finding]:
    """Each reader of bodies for a minute."""
    for target, seeds in SEEDS.items():
        check = f"fuzz of {target}, inputs in {SECONDS} s"
        if find_spec("atheris") is None:
            told = 'atheris is not installed: pip install ".[soak]", where it has wheels for this Python'
            yield Finding(check, told, "no crash, no disagreement", met=False)
        else:
            yield _fuzzed(check, target, seeds, place.folder / f"fuzz-{target}")


def _fuzzed(check: str, target: str, seeds: tuple[bytes, ...], folder: Path) -> Finding:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{word.replace(chr(34), chr(92) + chr(34))}"\n' for word in WORDS))
    flags = [f"-max_total_time={SECONDS}", f"-dict={words}", "-max_len=600", f"-artifact_prefix={folder}/", str(corpus)]
    command = [sys.executable, "-m", "benchmarks.soak.fuzz_target", target, *flags]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    said = done.stdout + done.stderr
    runs = re.search(r"Done (\d+) runs", said)
    if done.returncode or runs is None:
        return Finding(check, f"`{said.strip().splitlines()[-1][:200]}`", "no crash, no disagreement", met=False)
    return Finding(check, f"{int(runs[1]):,}, none crashed or was misread", "no crash, no disagreement", met=True)
