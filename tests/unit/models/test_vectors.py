import gzip

import pytest

from seqlab import bounded
from seqlab.errors import InputError
from seqlab.models.vectors import read_vectors


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e39", "NaN"])
@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
def test_numbers_that_are_none_are_refused_with_their_line(tmp_path, number, name):
    text = f"the 1 2\ncat 0.5 {number}\ndog 1 1\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with pytest.raises(InputError) as caught:
        read_vectors(path, ["the", "cat"])
    assert f"{path}, line 2: the vector of 'cat' holds NaN, an infinite number or one too large" in str(caught.value)
    matrix, found = read_vectors(path, ["the", "dog"])  # lines of words that are not asked for are not parsed
    assert matrix.tolist() == [[1, 2], [1, 1]]
    assert found.all()


def test_what_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "_FREE", 1 << 16)
    path = tmp_path / "v.txt.gz"
    packed = gzip.compress(b"the 1 2\n" * 250_000)
    for content in (packed, packed[:-4] + bytes(4)):  # the second states another size
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"v\.txt\.gz unpacks to more than .* MB, 50 times .*gunzip"):
            read_vectors(path, ["the"])


def test_long_lines_and_wide_vectors_are_refused_by_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "LONGEST_LINE", 30_000)
    path = tmp_path / "v.txt"
    path.write_text("the 1 2\ncat 3 4\n" + "dog " * 10_000)
    with pytest.raises(InputError, match=r"v\.txt, line 3 is longer than 30,000 characters"):
        read_vectors(path, ["the"])
    path.write_text("the" + " 1" * 10_001 + "\n")
    with pytest.raises(InputError, match=r"v\.txt, line 1: 10,001 numbers .*at most 10,000 are read"):
        read_vectors(path, ["the"])
