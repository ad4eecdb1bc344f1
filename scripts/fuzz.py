"""Wrong input by the thousand: random configs, mutated data files and run folders, each a success or one sentence.

python scripts/fuzz.py                              2,000 configs, 4,000 files, 500 run folders; exit 1 if one fails
python scripts/fuzz.py --configs 0 --files 100 --folders 0 --seed 7
python scripts/fuzz.py --case files/1234            repeat one case here, with its traceback

A case is a function of its kind, its number and the seed. Anything but a success or an ``InputError`` of bounded length
is a failure: another exception, a crash of the interpreter, more seconds than ``LIMIT``.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

LIMIT = 30
"""Seconds that one case may take."""
KINDS = ("configs", "files", "folders")
SMALL = ("runtime.threads=1", "runtime.tune=off", "floor=false", "trainer.max_steps=2", "trainer.precision=fp32")
TINY = (*SMALL, "model.hidden_size=4", "model.backend=reference", "model.embedding.dim=4")


class HangError(BaseException):
    """The case took too long. Code that falls back on any ``Exception`` does not catch it."""


# ---------------------------------------------------------------- data to begin with


def write_data(folder: Path) -> None:
    """Small valid files of every form."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    words = ["good", "bad", "phone", "not", "very", "screen", "a", "the", "ünïcode", "ok"]
    rows = [
        (" ".join(rng.choices(words, k=rng.randint(1, 9))) + f" {n}", rng.choice(["pos", "neg"])) for n in range(60)
    ]
    (folder / "texts.csv").write_text("text,label\n" + "".join(f'"{t}",{y}\n' for t, y in rows))
    (folder / "semi.csv").write_text("id;text;label\n" + "".join(f"{n};{t};{y}\n" for n, (t, y) in enumerate(rows)))
    (folder / "texts.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in rows))
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows))
    (folder / "texts.json").write_text(json.dumps([{"text": t, "label": y} for t, y in rows]))
    (folder / "running.txt").write_text("".join(t + "\n" for t, _ in rows) * 8)
    (folder / "pairs.tsv").write_text("".join(f"{t}\t{t[::-1]}\n" for t, _ in rows))
    days = [date(2020, 1, 1) + timedelta(n) for n in range(140)]
    series = [f"{day},{n % 7 + n / 100:.2f},{n * 3 % 11}\n" for n, day in enumerate(days)]
    (folder / "series.csv").write_text("day,load,wind\n" + "".join(series))
    decimal = [f"{day:%d.%m.%Y};{n},5\n" for n, day in enumerate(days)]
    (folder / "decimal.csv").write_text("Datum;Last\n" + "".join(decimal))
    (folder / "vectors.txt").write_text("".join(f"{w} 0.1 0.2 -0.3\n" for w in words))
    for name in ("texts.csv", "running.txt", "series.csv", "pairs.tsv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))


FORMS: dict[str, tuple[str, ...]] = {
    "texts.csv": ("data=csv",), "semi.csv": ("data=csv",), "texts.tsv": ("data=csv",), "texts.jsonl": ("data=csv",),
    "texts.json": ("data=csv",), "texts.csv.gz": ("data=csv",), "running.txt": ("data=text",),
    "running.txt.gz": ("data=text",), "pairs.tsv": ("data=pairs",), "pairs.tsv.gz": ("data=pairs",),
    "series.csv": ("data=series", "data.time_column=day"), "series.csv.gz": ("data=series",),
    "decimal.csv": ("data=series", "data.time_column=Datum"), "vectors.txt": (),
}  # fmt: skip
SIZES = {
    "csv": (), "text": ("data.length=8", "data.batch_size=2", "data.eval_length=8"), "pairs": ("data.batch_size=8",),
    "series": ("data.lookback=7", "data.horizon=2", "data.batch_size=8"),
}  # fmt: skip


def words_of(folder: Path, name: str) -> list[str]:
    """The command line that trains a tiny model on one of the files."""
    form = list(FORMS[name])
    sizes = SIZES[form[0].partition("=")[2]] if form else ()
    return [*form, *([f"data.path={folder / name}"] if form else ["data=reviews"]), *sizes, *TINY]


# ---------------------------------------------------------------- values and bytes that nobody expects

VALUES = (
    "0", "-1", "1", "2", "3", "7", "0.5", "-0.5", "1.5", "1e-30", "1e300", "nan", "inf", "-inf", "9223372036854775808",
    "1000000000", "1" + "0" * 400, "null", "true", "false", "''", "abc", "'é ö'", "'[x]'", "[]", "[0]", "[-1]",
    "[1,2]", "[0.5,0.5]", "[null]", "[[1]]", "[abc]", "[true]", "{}", "{a:1}", "{_target_:os.getcwd}", "a" * 300,
    "mean", "lstm", "1:2", "2020-01-01", "utf-16", "latin-1", "comma", "[0.5,0.3,0.2]", "[80,10,10]", "'\\t'",
)  # fmt: skip
NUMBERS = ("0", "-1", "1", "2", "3", "5", "0.5", "0.99", "1.0", "1e-30", "1e300", "nan", "inf", "1000000000", "null")


def alike(value: Any) -> tuple[str, ...]:
    """Values of the same kind as an option's own, likely and not."""
    if isinstance(value, bool):
        return ("true", "false")
    if isinstance(value, int):
        return (*(number for number in NUMBERS if number.lstrip("-").isdigit()), "9223372036854775808", "7")
    if isinstance(value, float) or value is None:
        return NUMBERS
    if isinstance(value, list):
        return ("[]", "[0]", "[1]", "[1,2]", "[-1,2]", "[0.5,0.5]", "[0.9,0.05,0.05]", "[1e300]", "[last]", "[a,b]")
    return VALUES


PIECES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n\n", b'"', b'""', b",", b";", b"\t", b"[", b"]", b"{",
    b"\xed\xa0\x80", b"\xc3", b"nan", b"inf", b"-1e400", b"1e5000", b"9" * 5000, b"[" * 100_000, b"a" * 200_000,
    b"," * 20_000, b"\\ud800", b"null", b"\xe2\x80\xa8", b"24:00", b"2020-02-30", b"2020-01-01T00:00+02:00", b"?",
)  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, put in, taken out, doubled or cut off."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, to = sorted(rng.randint(0, len(data)) for _ in range(2))
        to = min(to, at + rng.choice((1, 8, 200)))
        act = rng.randrange(6)
        if act == 0:
            data = data[:at] + bytes(rng.randrange(256) for _ in range(to - at)) + data[to:]
        elif act in (1, 2):
            data = data[:at] + rng.choice(PIECES) + data[at:]
        elif act == 3:
            data = data[:at] + data[to:]
        elif act == 4:
            data = data[:to] + data[at:to] * rng.choice((1, 3, 50)) + data[to:]
        else:
            data = data[:at] if rng.random() < 0.3 else data
    return data


def replaced(value: Any, rng: random.Random) -> Any:
    """A nested value with one field taken out, or another value in its place."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value, key=str))
        if rng.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        return {name: replaced(item, rng) if name == key else item for name, item in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], replaced(value[at], rng), *value[at + 1 :]]
    return rng.choice((
        None, 0, -1, 1, 3, 10**7, 2**70, 0.5, float("nan"), float("inf"), True, "", "x", "os.system", [], {}, [1],
        {"a": 1}, "seqlab.run.Run", [[[]]], "é" * 500,
    ))  # fmt: skip


# ---------------------------------------------------------------- the three kinds


def configs(rng: random.Random, base: Path, work: Path) -> None:
    """A few random options of a tiny training: composed, checked, and trained for two steps if nothing is wrong."""
    from seqlab.compose import composed, flatten
    from seqlab.train import train

    name = rng.choice([name for name in FORMS if not name.endswith(".gz") and FORMS[name]])
    words = words_of(base / "data", name)
    if rng.random() < 0.5:
        words = [word for word in words if not word.startswith(("model.hidden_size", "model.backend"))]
        words += [f"model={rng.choice(MODELS)}", "runtime.threads=1"]
        words = [word for word in words if "model.backend" not in word]
    keys = dict(flatten(composed(*words)))
    keys = {key: value for key, value in keys.items() if key not in ("runs", "run_dir", "resume", "data.path")}
    for _ in range(rng.choice((1, 1, 2, 3))):
        key = rng.choice(sorted(keys))
        words.append(f"{key}={rng.choice(alike(keys[key]) if rng.random() < 0.7 else VALUES)}")
    if rng.random() < 0.1:
        words.append(rng.choice(("lr=1", "model=LSTM", "optim=zzz", "data.path=nix", "=", "a=[")))
    train(composed(*words, f"runs={work / 'runs'}"))


MODELS = (
    "lstm",
    "gru",
    "bilstm",
    "seggru",
    "tcn",
    "transformer",
    "cnn",
    "bow",
    "mlp",
    "lstm_ngrams",
    "seq2seq",
    "mut1",
)


def files(rng: random.Random, base: Path, work: Path) -> None:
    """A mutated data file, read as a training reads it."""
    from seqlab import build
    from seqlab.compose import composed

    name = rng.choice(sorted(FORMS))
    content = (base / "data" / name).read_bytes()
    if name.endswith(".gz") and rng.random() < 0.7:
        content = gzip.compress(mutate(gzip.decompress(content), rng), 1)
    else:
        content = mutate(content, rng)
    (work / name).write_bytes(content)
    if name == "vectors.txt":
        from seqlab.models.vectors import read_vectors

        read_vectors(work / name, ["good", "bad", "ünïcode"])
        return
    options = {
        "csv": ("data.quoted=false", "data.header=false", "data.missing=drop", "data.delimiter=semicolon"),
        "text": ("data.separator=' '", "data.encoding=latin-1", "data/tokenizer=whitespace"),
        "pairs": ("data.encoding=cp1252", "data/tokenizer=whitespace", "data.shared=true"),
        "series": ("data.missing=forward", "data.gaps=fill", "data.unsorted=sort", "data.duplicates=mean"),
    }[FORMS[name][0].partition("=")[2]]
    chosen = [option for option in options if rng.random() < 0.2]
    config = composed(*words_of(work, name), *chosen)
    build.check_config(config)
    build.build_data(config)


def folders(rng: random.Random, base: Path, work: Path) -> None:
    """A run folder of which something was changed, used as its commands use it."""
    import torch
    import yaml

    from seqlab import run_folders
    from seqlab.compose import composed
    from seqlab.run import Run
    from seqlab.train import train

    name = rng.choice(("texts.csv", "running.txt", "pairs.tsv", "series.csv"))
    run = work / "run"
    shutil.copytree(base / "runs" / name, run)
    file = run / rng.choice(
        ("best.pt", "best.pt", "last.pt", "last.pt", "config.yaml", "summary.json", "metrics.jsonl")
    )
    if rng.random() < 0.4:
        file.write_bytes(mutate(file.read_bytes(), rng))
    elif file.suffix == ".pt":
        state = torch.load(file, weights_only=True)
        for _ in range(rng.choice((1, 1, 3))):
            state = replaced(state, rng)
        torch.save(state, file)
    elif file.suffix == ".yaml":
        file.write_text(yaml.safe_dump(replaced(yaml.safe_load(file.read_text()), rng)))
    elif file.suffix == ".json":
        file.write_text(json.dumps(replaced(json.loads(file.read_text()), rng)))
    else:
        file.write_text("")
    route = rng.randrange(4)
    if route == 0:
        _, _, warnings = run_folders.read(work)
        assert all(len(warning) < 2000 for warning in warnings)
    elif route == 1:
        train(composed(f"resume={run}", "trainer.max_steps=3"))
    else:
        opened = Run(run)
        if route == 2:
            opened.evaluate()
        elif name == "texts.csv":
            opened.predict(["good phone", ""])
        elif name == "running.txt":
            opened.generate("good", 5)
        elif name == "pairs.tsv":
            opened.translate(["good phone"])
        else:
            opened.forecast()


RUN: Mapping[str, Callable[[random.Random, Path, Path], None]] = {
    "configs": configs,
    "files": files,
    "folders": folders,
}


# ---------------------------------------------------------------- one case, one worker, all


def case(kind: str, number: int, seed: int, base: Path) -> tuple[str, str]:
    """``(outcome, detail)``: ok, refused, or what went wrong: traceback, hang, endless."""
    from seqlab.errors import InputError

    rng = random.Random(f"{seed}-{kind}-{number}")
    work = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def stop(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            RUN[kind](rng, base, work)
        return "ok", ""
    except InputError as error:
        message = str(error)
        return ("refused", message) if message and len(message) <= 1600 else ("endless", message[:300])
    except HangError:
        return "hang", traceback.format_exc(limit=-6)
    except OSError as error:  # `one_sentence` says it with the file's name
        return ("refused", str(error)) if error.errno is not None else ("traceback", traceback.format_exc(limit=-6))
    except BaseException:
        return "traceback", traceback.format_exc(limit=-6)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        shutil.rmtree(work, ignore_errors=True)


def prepare(base: Path) -> None:
    """Data and finished tiny runs to mutate."""
    quiet()
    from seqlab.compose import composed
    from seqlab.train import train

    write_data(base / "data")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name in ("texts.csv", "running.txt", "pairs.tsv", "series.csv"):
            train(composed(*words_of(base / "data", name), f"run_dir={base / 'runs' / name}"))


def quiet() -> None:
    """No log, no figures, no interest in warnings, and a cache of its own."""
    import warnings

    import torch

    from seqlab.engine.tracker import Tracker

    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    Tracker.figure = lambda *_, **__: None  # type: ignore[method-assign]


def work_through(kind: str, first: int, last: int, seed: int, base: Path, out: Path) -> None:
    """Cases in order, each announced before it begins, so that a crash is known by its number."""
    quiet()
    with open(out, "a", encoding="utf-8") as file:
        for number in range(first, last):
            print(json.dumps({"kind": kind, "case": number, "outcome": "began"}), file=file, flush=True)
            began = time.perf_counter()
            outcome, detail = case(kind, number, seed, base)
            row = {"kind": kind, "case": number, "outcome": outcome, "detail": detail}
            row |= {"seconds": time.perf_counter() - began}
            row |= {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
            print(json.dumps(row), file=file, flush=True)


def spans(counts: Mapping[str, int], size: int) -> Iterator[tuple[str, int, int]]:
    """All cases in pieces for one process each."""
    for kind, count in counts.items():
        for first in range(0, count, size):
            yield kind, first, min(first + size, count)


def run_all(counts: Mapping[str, int], seed: int, jobs: int, base: Path) -> list[dict[str, Any]]:
    """Every case in worker processes; a crash costs the case, and its worker's other cases go to the next."""
    waiting = list(spans(counts, 250))[::-1]
    running: dict[subprocess.Popen[bytes], tuple[str, int, int, Path]] = {}
    done: list[dict[str, Any]] = []
    number = 0
    while waiting or running:
        while waiting and len(running) < jobs:
            kind, first, last = waiting.pop()
            out = base / f"rows-{(number := number + 1)}.jsonl"
            command = [sys.executable, __file__, "--worker", kind, str(first), str(last), str(base), str(out)]
            process = subprocess.Popen(
                [*command, "--seed", str(seed)], env={**os.environ, "SEQLAB_CACHE": str(base / "cache")}
            )
            running[process] = kind, first, last, out
        time.sleep(0.2)
        for process, (*_, out) in running.items():
            if out.exists() and time.time() - out.stat().st_mtime > 3 * LIMIT:
                process.kill()  # it hangs outside of Python, where no signal is handled
        for process in [process for process in running if process.poll() is not None]:
            kind, first, last, out = running.pop(process)
            rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
            done += [row for row in rows if row["outcome"] != "began"]
            if process.returncode != 0:
                crashed = rows[-1]["case"] if rows else first
                detail = f"exit status {process.returncode}"
                done.append(
                    {"kind": kind, "case": crashed, "outcome": "crash", "detail": detail, "peak_mb": 0, "seconds": 0}
                )
                waiting.append((kind, crashed + 1, last))
            print(f"{len(done):,} cases: {dict(Counter(row['outcome'] for row in done))}", file=sys.stderr, flush=True)
    return done


def report(rows: list[dict[str, Any]]) -> int:
    """A line a kind, then everything that went wrong; the exit status."""
    for kind in KINDS:
        found = [row for row in rows if row["kind"] == kind]
        if found:
            counts = Counter(row["outcome"] for row in found)
            peak, slowest = max(row["peak_mb"] for row in found), max(row["seconds"] for row in found)
            print(f"{kind}: {len(found):,} cases, {dict(counts)}; peak memory {peak:,.0f} MB, slowest {slowest:.1f} s")
    wrong = [row for row in rows if row["outcome"] not in ("ok", "refused")]
    seen: Counter[str] = Counter()
    for row in wrong:
        last = "\n".join(row["detail"].strip().splitlines()[-3:])
        seen[last] += 1
        if seen[last] <= 2:
            print(f"\n{row['kind']}/{row['case']}: {row['outcome']}\n{row['detail']}")
    return 1 if wrong else 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, count in zip(KINDS, (2000, 4000, 500), strict=True):
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"how many (default {count:,})")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--json", type=Path, help="write every case here")
    parser.add_argument("--case", help="KIND/NUMBER: repeat one case in this process")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, first, last, base, out = options.worker
        work_through(kind, int(first), int(last), options.seed, Path(base), Path(out))
        return
    with tempfile.TemporaryDirectory(prefix="fuzz-base-") as folder:
        base = Path(folder)
        os.environ["SEQLAB_CACHE"] = str(base / "cache")
        prepare(base)
        if options.case:
            kind, _, number = options.case.partition("/")
            print(*case(kind, int(number), options.seed, base), sep="\n")
            return
        rows = run_all({kind: getattr(options, kind) for kind in KINDS}, options.seed, options.jobs, base)
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sys.exit(report(rows))


if __name__ == "__main__":
    main()
