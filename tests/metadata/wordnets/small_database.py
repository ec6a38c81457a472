"""A WordNet database of a few synsets, in the files that the real one has (wndb(5WN))."""

from pathlib import Path

__all__ = ["PARTS_OF_SPEECH", "write_database"]

PARTS_OF_SPEECH = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_LEXICOGRAPHERS = {"noun": 5, "verb": 38, "adj": 0, "adv": 2}
_HEADER = b"  1 A small database. WordNet 3.0 Copyright is of another one.  \n"


def write_database(folder, lemmas):
    """Write the files of a database.

    Args:
        folder: that they go to; made if it is missing.
        lemmas: of each part of speech; every one gets a synset of its own.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    for part, letter in PARTS_OF_SPEECH.items():
        data, index = bytearray(_HEADER), []
        for lemma in lemmas[part]:
            frames = " 01 + 02 00" if part == "verb" else ""
            about = f"{_LEXICOGRAPHERS[part]:02d} {letter} 01 {lemma} 0 000{frames} | a gloss"
            index.append(f"{lemma} {letter} 1 0 1 0 {len(data):08d}  \n")
            data += f"{len(data):08d} {about}  \n".encode()
        Path(folder, f"data.{part}").write_bytes(bytes(data))
        Path(folder, f"index.{part}").write_bytes(_HEADER + "".join(sorted(index)).encode())
        Path(folder, f"{part}.exc").write_bytes(b"")
