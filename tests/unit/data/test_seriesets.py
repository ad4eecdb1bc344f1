import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from seqlab.data import seriesets
from seqlab.data.seriesets import ETT, Airline, Sunspots
from seqlab.types import InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))
LOADS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")


def made_up(path, minutes=60):
    times = np.datetime64("2016-07-01T00:00:00") + np.arange(5) * np.timedelta64(minutes, "m")
    rows = [
        ",".join([str(time).replace("T", " "), *(str(row + n) for n in range(7))]) for row, time in enumerate(times)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(("date", *LOADS, "OT")), *rows]), encoding="utf-8")


@pytest.mark.parametrize("place", ["", "series"])
def test_files_are_found_in_either_place(tmp_path, place):
    made_up(tmp_path / place / "ETTh1.csv")
    (tmp_path / place / "monthly-sunspots.csv").write_bytes(
        b'"Month","Sunspots"\r\n"1749-01",58.0\r\n"1749-02",62.6\r\n'
    )
    (tmp_path / place / "airline-passengers.csv").write_bytes(b'"Month","Passengers"\r\n"1949-01",112\r\n"1949-02",118')
    ett = ETT(tmp_path, download=False).read()
    assert (ett.targets, ett.past, ett.freq, len(ett)) == ((*LOADS, "OT"), (), "h", 5)
    sunspots, airline = (source(tmp_path, download=False).read() for source in (Sunspots, Airline))
    assert sunspots.values.tolist() == np.float32([[58.0], [62.6]]).tolist()
    assert (airline.targets, airline.freq, str(airline.times[1])[:7]) == (("Passengers",), "MS", "1949-02")


def test_ett_takes_the_columns_that_are_asked_for(tmp_path):
    made_up(tmp_path / "ETTh2.csv")
    made_up(tmp_path / "ETTm1.csv", 15)
    source = ETT(tmp_path, "ETTh2", targets=("OT",), past=LOADS, calendar=("hour", "weekday"))
    series = source.read()
    assert (series.targets, series.past, series.ahead) == (("OT",), LOADS, ("hour", "weekday"))
    assert series.values[0].tolist() == [6, 0, 1, 2, 3, 4, 5]
    assert ETT(tmp_path, "ETTm1").read().freq == "15min"
    assert source.digest() != ETT(tmp_path, "ETTh2").digest()
    with pytest.raises(InputError, match="'OT' is named twice"):
        ETT(tmp_path, targets=("OT",), past=("OT",))
    with pytest.raises(InputError, match=r"has no column 'HUFF'; did you mean 'HUFL'\?"):
        ETT(tmp_path, "ETTh2", targets=("HUFF",)).read()


def test_what_is_not_there_is_fetched_or_asked_for(tmp_path, monkeypatch):
    for source in (Sunspots(tmp_path, False), Airline(tmp_path, False), ETT(tmp_path, download=False)):
        for ask in (source.digest, source.read):
            with pytest.raises(InputError, match=r"there is neither .*download https://.*csv and put it at .*series"):
                ask()
    # A variant whose digest we have not seen is not downloaded in any case.
    with pytest.raises(InputError, match=re.escape("ETT-small/ETTm2.csv and put it at")):
        ETT(tmp_path, "ETTm2").read()

    def fetch(url, path, digest):
        assert digest == seriesets.DIGESTS["ETTh1.csv"]
        assert url.endswith("ETDataset/main/ETT-small/ETTh1.csv")
        made_up(path)
        return path

    monkeypatch.setattr(seriesets, "fetch", fetch)
    assert len(ETT(tmp_path).read()) == 5
    assert (tmp_path / "series" / "ETTh1.csv").exists()


@pytest.mark.parametrize(
    ("source", "file", "rows", "columns", "freq", "ends"),
    [
        (Sunspots, "monthly-sunspots.csv", 2_820, 1, "MS", ("1749-01-01T00", "1983-12-01T00")),
        (Airline, "airline-passengers.csv", 144, 1, "MS", ("1949-01-01T00", "1960-12-01T00")),
        (ETT, "ETTh1.csv", 17_420, 7, "h", ("2016-07-01T00", "2018-06-26T19")),
    ],
)
def test_the_real_files_are_read_whole(source, file, rows, columns, freq, ends):
    path = DATA / "series" / file
    if not path.exists():
        pytest.skip(f"no series/{file} under {DATA}: set SEQLAB_DATA")
    series = source(DATA, download=False).read()
    assert series.values.shape == (rows, columns)
    assert series.freq == freq
    assert tuple(str(time)[:13] for time in series.times[[0, -1]]) == ends
    assert series.measured is None
    assert np.isfinite(series.values).all()
    assert f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" == seriesets.DIGESTS[file]
