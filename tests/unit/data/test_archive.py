import gzip
import io
import re
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.archive import matching_files
from seqlab.types import InputError

TEXTS = re.compile(rb"box/(\w+)\.txt")


def tar_bytes(files, format=tarfile.GNU_FORMAT):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format) as tar:
        folder = tarfile.TarInfo("box")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def read(path, pattern=TEXTS):
    return [(match[1].decode(), data) for match, data in matching_files(path, pattern)]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 511, 512, 513, 200_000]), max_size=5),
    other=st.sampled_from([0, 700, 1_000_000]),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT]),
)
def test_it_reads_what_tarfile_wrote(tmp_path_factory, sizes, other, format):
    path = tmp_path_factory.mktemp("tar") / "a.tar.gz"
    wanted = [(f"n{number}", bytes([65 + number]) * size) for number, size in enumerate(sizes)]
    files = [(f"box/{name}.txt", data) for name, data in wanted]
    files[1:1] = [("other.bin", bytes(other)), ("box/" + "long" * 40 + ".txt", b"pax or GNU long name, passed over")]
    if format == tarfile.USTAR_FORMAT:
        files = [(name, data) for name, data in files if len(name) < 100]
    path.write_bytes(gzip.compress(tar_bytes(files, format)))
    assert read(path) == wanted


def test_several_gzip_members_and_zeros_after_them_are_one_archive(tmp_path):
    path, tar = tmp_path / "a.tar.gz", tar_bytes([("box/a.txt", b"hello")])
    path.write_bytes(gzip.compress(tar[:700]) + gzip.compress(tar[700:]) + bytes(100))
    assert read(path) == [("a", b"hello")]


def test_names_must_match_whole_and_links_are_passed_over(tmp_path):
    path, raw = tmp_path / "a.tar.gz", io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("../box/a.txt", "/box/a.txt", "box/a.txt.sh", "box/../b.txt"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("box/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    path.write_bytes(gzip.compress(raw.getvalue()))
    assert read(path) == []


def damaged(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


WHOLE = gzip.compress(tar_bytes([("box/a.txt", bytes(range(256)) * 40), ("box/b.txt", b"b" * 3000)]), compresslevel=1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not here</html>",
        gzip.compress(b"no archive " * 200),
        gzip.compress(b""),
        WHOLE[:-3],
        WHOLE[: len(WHOLE) // 2],
        damaged(WHOLE),
        gzip.compress(gzip.decompress(WHOLE)[:1500]),
        gzip.compress(tar_bytes([("box/a.txt", bytes(5_000_000))])),
    ],
)
def test_what_is_no_whole_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged or incomplete"):
        read(path)


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "none.tar.gz")
