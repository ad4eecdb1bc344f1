import hashlib
import http.server
import re
import threading

import pytest

from seqlab.data.fetch import fetch
from seqlab.types import InputError

CONTENT = bytes(range(256)) * 4000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT; knows ranges unless told otherwise; hangs up early when told to."""

    def do_GET(self):
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        server.asked.append(self.headers.get("Range"))
        first = int(asked[1]) if asked and server.knows_ranges else 0
        if self.path != "/file":
            self.send_error(404)
        elif first >= len(CONTENT):
            self.send_error(416)
        else:
            self.send_response(206 if asked and server.knows_ranges else 200)
            self.send_header("Content-Length", str(len(CONTENT) - first))
            self.end_headers()
            self.wfile.write(CONTENT[first : server.hangs_up_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.knows_ranges, server.hangs_up_after = [], True, None
        server.url = f"http://127.0.0.1:{server.server_port}/file"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("digest", [DIGEST, "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_a_file_arrives_whole_and_only_once(server, tmp_path, digest, capsys):
    path = tmp_path / "new" / "file.bin"
    assert fetch(server.url, path, digest) == path
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]
    assert "downloading file.bin: 1.0 MB" in capsys.readouterr().err
    fetch(server.url, path, digest)
    assert len(server.asked) == 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_an_interrupted_download_continues(server, tmp_path, knows_ranges):
    server.hangs_up_after, server.knows_ranges = 300_000, knows_ranges
    with pytest.raises(InputError, match="stopped after 300,000 bytes: run again"):
        fetch(server.url, tmp_path / "file", DIGEST)
    assert not (tmp_path / "file").exists()
    server.hangs_up_after = None
    fetch(server.url, tmp_path / "file", DIGEST)
    assert server.asked == [None, "bytes=300000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_taken(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_digest_leaves_nothing(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"something else")
    with pytest.raises(InputError, match="digest"):
        fetch(server.url, tmp_path / "file", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_server_connection_and_folder_say_what_to_do(server, tmp_path):
    path = tmp_path / "file"
    with pytest.raises(InputError, match=r"cannot download .*Not Found.*put that file at"):
        fetch(server.url + "s", path, DIGEST)
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=f"put that file at {re.escape(str(path))} by hand"):
        fetch(server.url, path, DIGEST)
    path.write_text("a file, no folder")
    with pytest.raises(InputError, match="choose a folder"):
        fetch(server.url, path / "file", DIGEST)


def test_a_terminal_gets_a_bar(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch(server.url, tmp_path / "file", DIGEST)
    assert "1.0/1.0 MB" in capsys.readouterr().err
