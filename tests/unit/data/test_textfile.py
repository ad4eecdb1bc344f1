import codecs
import gzip
import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data import decoded, textfile
from seqlab.data.corpus import load_corpus
from seqlab.data.textfile import Shakespeare, TextFile
from seqlab.text import WordPipeline
from seqlab.types import InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))


def documents_of(source):
    found = []
    for begins, text in source.read():
        assert text
        if begins:
            found.append("")
        found[-1] += text
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.text(st.sampled_from("aé你\U0001f600\r\n\x0c|-")),
    st.sampled_from([None, "\n", "--", "|", "-|-", "aa"]),
    st.sampled_from(["utf-8", "utf-16", "utf-32-be", "gb18030"]),
    st.integers(1, 5),
    st.sampled_from(["text.txt", "text.txt.gz"]),
)
def test_documents_are_the_text_as_it_is(tmp_path_factory, text, separator, encoding, chunk, name):
    path = tmp_path_factory.mktemp("text") / name
    path.write_bytes((gzip.compress if name.endswith("gz") else bytes)(text.encode(encoding)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "CHUNK", chunk)
        patch.setattr(textfile, "CHUNK", chunk)
        if separator is not None and text and separator not in text:
            with pytest.raises(InputError, match=r"does not occur in .*, or null for a single document"):
                documents_of(TextFile(path, encoding, separator))
            return
        found = documents_of(TextFile(path, encoding, separator))
    assert "".join(found) == text
    if separator is None:
        assert len(found) == bool(text)
        return
    ended = [part + separator for part in text.split(separator)]
    assert found == [*ended[:-1], *([text.split(separator)[-1]] if text.split(separator)[-1] else [])]


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    for encoding in ("utf-8", "utf-16-le", "utf-16"):
        path.write_bytes("\ufeff\ufeffé".encode(encoding) if encoding != "utf-16" else "\ufeffé".encode(encoding))
        assert documents_of(TextFile(path, encoding)) == ["é" if encoding == "utf-16" else "\ufeffé"]


def test_the_digest_is_of_bytes_and_options(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one two")
    first = TextFile(path).digest()
    assert TextFile(path).digest() == first
    others = {TextFile(path, "latin-1").digest(), TextFile(path, separator=" ").digest()}
    path.write_bytes(b"one twO")
    others.add(TextFile(path).digest())
    assert len(others | {first}) == 4


@pytest.mark.parametrize(("head", "advice"), [
    (codecs.BOM_UTF16_LE + b"n\0", "begins as utf-16 does, so set data.encoding=utf-16"),
    (b"\x7fELF\0\0\xff", "looks like a file of something else than text, so name another"),
])  # fmt: skip
def test_what_is_no_such_text_is_recognised(tmp_path, head, advice):
    (tmp_path / "a.txt").write_bytes(head)
    with pytest.raises(InputError, match=advice):
        documents_of(TextFile(tmp_path / "a.txt"))


@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
def test_bytes_of_another_encoding_are_named_by_their_place(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(decoded, "CHUNK", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes("née ".encode() + "né".encode("latin-1") + b" plus")
    with pytest.raises(InputError, match=r"a.txt, byte 6 is not utf-8 text .*latin-1 or cp1252"):
        documents_of(TextFile(path))
    path.write_bytes(b"end\xe4")
    with pytest.raises(InputError, match="byte 3 is not utf-8 text"):
        documents_of(TextFile(path))


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path):
    missing = TextFile(tmp_path / "none.txt")
    for ask in (missing.digest, lambda: list(missing.read())):
        with pytest.raises(InputError, match=r"cannot read .*none\.txt \(No such file"):
            ask()
    with pytest.raises(InputError, match=r"holds no \.txt files: name the files of the text"):
        TextFile(tmp_path).digest()
    with pytest.raises(InputError, match=f"cannot read {re.escape(str(Path.cwd() / 'none.txt'))} "):
        TextFile("none.txt").digest()  # where it was looked for
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"some text " * 100)[:-20])
    with pytest.raises(InputError, match="damaged or incomplete"):
        list(TextFile(path).read())
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"cannot read .*gz"):
        list(TextFile(path).read())
    for encoding in ("utf-9", "undefined", "hex"):
        with pytest.raises(InputError, match=f"no encoding '{encoding}'"):
            TextFile(path, encoding)
    with pytest.raises(InputError, match="separator is empty"):
        TextFile(path, separator="")


def test_a_line_end_that_a_shell_left_as_two_characters_is_explained(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"separator '\\\\n' does not occur .*bash writes a line end as"):
        documents_of(TextFile(path, separator="\\n"))


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one \\ud800 two", encoding="ascii")
    with pytest.raises(InputError, match=r"a.txt is not raw_unicode_escape text .*surrogates not allowed"):
        documents_of(TextFile(path, "raw_unicode_escape"))


@pytest.mark.parametrize("place", ["tinyshakespeare.txt", "text/tinyshakespeare.txt"])
def test_the_plays_are_found_where_they_lie(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("To be", encoding="utf-8")
    assert documents_of(Shakespeare(tmp_path, download=False)) == ["To be"]


def test_the_plays_are_fetched_or_asked_for(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"there is neither .*download http.* and put it at"):
        Shakespeare(tmp_path, download=False).digest()

    def fetch(url, path, digest):
        assert (url, digest) == (textfile.URL, textfile.DIGEST)
        path.write_text("fetched", encoding="utf-8")
        return path

    monkeypatch.setattr(textfile, "fetch", fetch)
    assert documents_of(Shakespeare(tmp_path)) == ["fetched"]
    assert (tmp_path / "tinyshakespeare.txt").exists()


def test_the_plays_are_split_as_everybody_splits_them():
    if not any((DATA / place).exists() for place in ("tinyshakespeare.txt", "text/tinyshakespeare.txt")):
        pytest.skip(f"no tinyshakespeare.txt under {DATA}: set SEQLAB_DATA")
    source = Shakespeare(DATA, download=False)
    data = load_corpus(source, WordPipeline("char", None), val_fraction=0.1, test_fraction=0.0, cache_dir=None)
    assert (len(data.train), len(data.val), data.spec.vocab_size) == (1_003_854, 111_540, 67)
    text = data.pipeline.decode(data.train.ids) + data.pipeline.decode(data.val.ids)
    assert f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" == textfile.DIGEST


def parts_of(source, **options):
    options = {"val_fraction": 0.25, "test_fraction": 0.0} | options
    data = load_corpus(source, WordPipeline("whitespace", None), cache_dir=None, **options)
    return [part and data.pipeline.decode(part.ids) for part in (data.train, data.val, data.test)]


def test_validation_and_test_files_are_parts_of_their_own(tmp_path):
    for name, text in (("train", "a b c d\n" * 10), ("valid", "b c\n"), ("test", "c d\n")):
        (tmp_path / name).write_text(text)
    train, val, test = (tmp_path / name for name in ("train", "valid", "test"))
    whole = " ".join(["a b c d"] * 10)
    assert parts_of(TextFile(train, val_path=val, test_path=test)) == [whole, "b c", "c d"]
    assert parts_of(TextFile(train, val_path=val)) == [whole, "b c", None]
    # The validation part is then the end of the text to learn from.
    learned, held, tested = parts_of(TextFile(train, test_path=test), val_fraction=0.2)
    assert (f"{learned} {held}", tested) == (whole, "c d")
    assert held == " ".join(["a b c d"] * 2)
    with pytest.raises(InputError, match=r"set data\.test_path, or data\.test_fraction=0"):
        parts_of(TextFile(train, val_path=val), test_fraction=0.1)
    digests = {TextFile(train, **options).digest() for options in ({}, {"val_path": val}, {"test_path": val})}
    assert len(digests) == 3


def test_several_files_or_a_folder_are_documents_one_after_the_other(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(f"{name} ")
    assert documents_of(TextFile(tmp_path)) == ["a.txt ", "b.txt "]
    assert documents_of(TextFile([tmp_path / "c.md", tmp_path / "a.txt"])) == ["c.md ", "a.txt "]
    with pytest.raises(InputError, match=r"data\.path is an empty list"):
        TextFile([])


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_every_line_ends_with_a_word_of_its_own(tmp_path, monkeypatch, chunk):
    """As Penn Treebank and WikiText-2 are counted: a token a line, blank ones and the last without its end too."""
    monkeypatch.setattr(decoded, "CHUNK", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes(b" a <unk> \n \n b\r\nc")
    tokens = WordPipeline("whitespace").split("".join(documents_of(TextFile(path, line_end="<eos>"))))
    assert tokens == ["a", "<unk>", "<eos>", "<eos>", "b", "<eos>", "c", "<eos>"]
    for wrong in ("", "a b"):
        with pytest.raises(InputError, match=r"data\.line_end must be one word"):
            TextFile(path, line_end=wrong)
