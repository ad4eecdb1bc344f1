import gzip

import pytest

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
