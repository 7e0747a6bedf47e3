"""Many new records at once, as sorted files that the store takes as they are: nothing is logged, nothing compacted.

Keys are sorted and different. What is there already is found by walking through store and keys together.
"""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rocksdict import IngestExternalFileOptions, Options, Rdict, SstFileWriter

# Where this many keys have needed a search of their own each, the filters are asked about the rest.
_SEARCHES = 64
_READ_KEYS = 1000


def present(db: Rdict, keys: Sequence[bytes]) -> list[int]:
    """Return the places of those keys, sorted and different, that the store has."""
    found: list[int] = []
    end = len(keys)
    place = searches = 0
    if not end:
        return found
    steps = db.iter()
    steps.seek(keys[0])
    while steps.valid():
        key = steps.key()
        assert isinstance(key, bytes)
        place = bisect_left(keys, key, place)
        if place == end:
            return found
        if keys[place] == key:
            found.append(place)
            place += 1
            if place == end:
                return found
            steps.next()
            continue
        searches += 1
        if searches > _SEARCHES and searches * 4 > place:
            return found + [place + more for more in _present_apart(db, keys[place:])]
        steps.seek(keys[place])
    steps.status()
    return found


def _present_apart(db: Rdict, keys: Sequence[bytes]) -> list[int]:
    """The same for keys between which the store has many others: one by one, most by the filters alone."""
    exists = db.key_may_exist
    likely: list[int] = [place for place, key in enumerate(keys) if exists(key)]
    found: list[int] = []
    for start in range(0, len(likely), _READ_KEYS):
        places = likely[start : start + _READ_KEYS]
        wanted: list[Any] = [keys[place] for place in places]
        values: list[Any] = db.get(wanted) or []
        found += [place for place, value in zip(places, values, strict=True) if value is not None]
    return found


def write_file(path: Path, options: Options, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Write keys, sorted and different, and their values to a file that a store can take.

    Raises:
        OSError: it cannot be written.
    """
    try:
        writer = SstFileWriter(options)
        writer.open(str(path))
        put = writer.__setitem__
        for key, value in zip(keys, values, strict=True):
            put(key, value)
        writer.finish()
    except Exception as error:
        raise OSError(f"the file {path} cannot be written: {error}") from error


def ingest(db: Rdict, files: Sequence[Path]) -> None:
    """Let a store take files, all or none; they are its own then, and on the disk when this returns.

    Raises:
        OSError: it did not; whether they are taken is not known.
    """
    how = IngestExternalFileOptions()
    how.set_move_files(True)
    try:
        db.ingest_external_file([str(file) for file in files], how)
    except Exception as error:
        raise OSError(f"the store did not take a file: {error}") from error
