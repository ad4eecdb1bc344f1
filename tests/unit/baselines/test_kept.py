import json

from seqlab.baselines.kept import kept

WORDS = {"digest": "d", "version": 1, "methods": ["a"]}


def test_a_floor_is_kept_for_this_user_alone_and_believed_only_then(tmp_path, caplog):
    path = tmp_path / "floors" / "x.json"
    assert kept(path, lambda: {"a": 0.5}, **WORDS) == {"a": 0.5}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert kept(path, lambda: {"a": 0.1}, **WORDS) == {"a": 0.5}
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "floor": {"a": 0.9}}))
    path.chmod(0o666)
    assert kept(path, lambda: {"a": 0.5}, **WORDS) == {"a": 0.5}
    assert "others may write to it" in caplog.text
    path.parent.chmod(0o777)
    assert kept(path, lambda: {"a": 0.25}, **WORDS) == {"a": 0.25}
    assert "chmod go-w" in caplog.text
