"""Seconds and memory from raw reviews to a 20,000-word vocabulary and all ids: ours, plain Python, torchtext.

Each way runs in a process of its own: ``python scripts/bench_text.py [--torchtext-python PATH]``. The texts are IMDB's
25,000 training reviews where the archive is found, else as many made on the spot. Time and peak memory count from the
moment the texts are in memory and everything is imported.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

MAX_TOKENS = 20_000
ARCHIVE = "aclImdb_v1.tar.gz"
SPECIALS = ["<unk>", "<pad>"]
WAYS = {
    "seqlab": "seqlab, one pass",
    "plain": "plain loop of regular expressions",
    "torchtext": "torchtext, tokens kept",
    "torchtext_twice": "torchtext, texts tokenized twice",
}


def main(data_root: str | Path, repeats: int = 3, torchtext_python: str | None = None) -> list[dict[str, Any]]:
    """Measure every way ``repeats`` times, print the table and answer its rows (the fastest repeat's seconds)."""
    texts, source = _texts(Path(data_root))
    print(f"{len(texts):,} texts, {sum(map(len, texts)) / 1e6:.1f} M characters: {source}; {os.cpu_count()} cores")
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(text) + "\n" for text in texts)
        del texts
        for way in list(WAYS) * repeats:  # in turns, so that a busy minute meets every way alike
            row = rows.setdefault(way, {"way": way})
            if "error" not in row:
                python = torchtext_python if way.startswith("torchtext") and torchtext_python else sys.executable
                answer = _run_child(python, way, path)
                if answer.get("seconds", 0.0) < row.get("seconds", float("inf")):
                    row |= answer
    table = list(rows.values())
    _print_table(table)
    return table


def _run_child(python: str, way: str, path: Path) -> dict[str, Any]:
    """One measurement in a fresh process, single-threaded as all of this is."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [python, str(Path(__file__).resolve()), "--child", way, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def _print_table(rows: list[dict[str, Any]]) -> None:
    best = {row["way"]: row for row in rows if "error" not in row}
    ours, reference = best.get("seqlab"), best.get("torchtext") or best.get("plain")
    print(f"{'way':34} {'seconds':>8} {'CPU s':>7} {'MB':>6}  {'seqlab takes of it':28} {'ids':9}  versions")
    for row in rows:
        if "error" in row:
            print(f"{WAYS[row['way']]:34} did not run: {row['error'][:150]}")
            continue
        shares = {name: ours[name] / row[name] if ours else float("nan") for name in ("seconds", "cpu_seconds", "mb")}
        ratio = f"{shares['seconds']:.2f} s, {shares['cpu_seconds']:.2f} CPU, {shares['mb']:.2f} MB"
        same = "identical" if reference and row["digest"] == reference["digest"] else "DIFFERENT"
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        threads = f"{row['threads']} thread" + "s" * (row["threads"] != 1)
        numbers = f"{row['seconds']:8.2f} {row['cpu_seconds']:7.2f} {row['mb']:6.0f}"
        print(f"{WAYS[row['way']]:34} {numbers}  {ratio:28} {same:9}  {versions}, {threads}")


def _texts(data_root: Path) -> tuple[list[str], str]:
    """IMDB's training reviews in the order of their names, or made-up ones of the same size."""
    archive = data_root / ARCHIVE
    if not archive.is_file():
        return _made_up_texts(), f"made up, for there is no {archive}"
    found: dict[str, str] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if re.search(r"(^|/)train/(pos|neg)/[^/]+\.txt$", member.name) and (file := tar.extractfile(member)):
                found[member.name] = file.read().decode("utf-8")
    return [found[name] for name in sorted(found)], f"training reviews of {archive.name}"


def _made_up_texts(rows: int = 25_000) -> list[str]:
    """Reviews of words whose frequencies fall as in English (Zipf), with its punctuation."""
    generator = random.Random(0)
    syllables = [first + second for first in "bdfghklmnprstvw" for second in ("a", "e", "i", "o", "u", "an", "er")]
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(80_000)]
    ends = ["", "", "", "", "", "", "", ",", ".", ". The", "!", "?", "'s", '"', "<br /><br />", ";", " (so)"]
    pool = [word + generator.choice(ends) for word in words for _ in range(2)]
    weights = [0.0]
    for rank in range(len(pool)):
        weights.append(weights[-1] + 1 / (rank + 3))
    return [
        " ".join(generator.choices(pool, cum_weights=weights[1:], k=generator.randint(60, 400))) for _ in range(rows)
    ]


def _child(way: str, path: str) -> None:
    """Read the texts, run one way, print what it took and a digest of what came out."""
    import torch

    run, versions = _ways(way)
    with Path(path).open(encoding="utf-8") as file:
        texts = [json.loads(line) for line in file]
    gc.collect()
    _reset_peak()
    baseline = _memory("VmRSS")
    start, cpu_start = time.perf_counter(), time.process_time()
    tokens, rows = run(texts)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = _memory("VmHWM")
    digest = hashlib.sha256("\n".join(tokens).encode())
    for row in rows:
        digest.update(torch.as_tensor(row, dtype=torch.int32).numpy().tobytes() + b"|")
    report: dict[str, Any] = {"seconds": seconds, "cpu_seconds": cpu_seconds, "mb": peak - baseline}
    report |= {"digest": digest.hexdigest(), "threads": torch.get_num_threads()}
    report["versions"] = {"Python": sys.version.split()[0]} | versions
    print(json.dumps(report))


def _ways(way: str) -> tuple[Any, dict[str, str]]:
    """The function to measure, its imports done, and the versions of what it uses."""
    import torch

    if way == "seqlab":
        import seqlab.text

        def seqlab_ids(texts: list[str]) -> tuple[list[str], Any]:
            pipeline = seqlab.text.WordPipeline(max_tokens=MAX_TOKENS)
            encoded = pipeline.fit_encode(texts)
            return pipeline.tokens, encoded

        return seqlab_ids, {}
    if way == "plain":
        return _plain_ids, {}
    import torchtext

    torchtext.disable_torchtext_deprecation_warning()
    from torchtext.data.utils import get_tokenizer
    from torchtext.vocab import build_vocab_from_iterator

    def torchtext_ids(texts: list[str]) -> tuple[list[str], Any]:
        tokenize = get_tokenizer("basic_english")
        rows = map(tokenize, texts) if way == "torchtext_twice" else [tokenize(text) for text in texts]
        vocab = build_vocab_from_iterator(rows, specials=SPECIALS, max_tokens=MAX_TOKENS)
        vocab.set_default_index(0)
        rows = map(tokenize, texts) if way == "torchtext_twice" else rows
        return vocab.get_itos(), [torch.tensor(vocab(row)) for row in rows]

    return torchtext_ids, {"torch": torch.__version__, "torchtext": torchtext.__version__}


def _plain_ids(texts: list[str]) -> tuple[list[str], Any]:
    """What everyone writes: substitute one pattern after another, split, count, look up."""
    import torch

    spaced = [(re.compile(re.escape(mark)), f" {mark} ") for mark in "'.,()!?"]
    gone = [(re.compile(pattern), " ") for pattern in ("<br />", ";", ":")]
    patterns = [(re.compile('"'), ""), *spaced, *gone, (re.compile(r"\s+"), " ")]
    rows = []
    for text in texts:
        text = text.lower()
        for pattern, replacement in patterns:
            text = pattern.sub(replacement, text)
        rows.append(text.split())
    counter = Counter(token for row in rows for token in row)
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[: MAX_TOKENS - len(SPECIALS)]
    tokens = SPECIALS + [token for token, _ in ranked]
    ids = {token: id for id, token in enumerate(tokens)}
    return tokens, [torch.tensor([ids.get(token, 0) for token in row]) for row in rows]


def _reset_peak() -> None:
    """Let VmHWM start again from what is in use now (Linux; elsewhere the peak counts from the process's start)."""
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(field: str) -> float:
    """This process's memory in use (VmRSS) or its peak (VmHWM), in MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(rf"{field}:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6  # type: ignore[index]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("SEQLAB_DATA", "data"), help=f"the folder of {ARCHIVE}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--torchtext-python", help="interpreter of an environment where torchtext can be imported")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "TEXTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
    else:
        main(arguments.data_root, arguments.repeats, arguments.torchtext_python)
