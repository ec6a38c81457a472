from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.files.parquet.footer import Chunk, Footer, RowGroup, read_footer


def struct(*fields):
    """Return a struct of the compact protocol, of fields with their kinds and their bytes."""
    content, last = b"", 0
    for number, kind, value in fields:
        content += bytes([(number - last) << 4 | kind]) + value
        last = number
    return content + b"\0"


def structs(*values):
    return bytes([len(values) << 4 | 12]) + b"".join(values)


def written(path, footer):
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return str(path)


META = struct(
    (3, 9, b"\x18\x01a"), (5, 6, b"\x06"), (6, 6, b"\x14"), (7, 6, b"\x12"), (9, 6, b"\x80\x01"),
    (11, 6, b"\x08"), (12, 12, struct((5, 8, b"\x01z"), (7, 1, b""))),
)  # fmt: skip
OTHERS = [struct((1, 7, bytes(8)), (2, 3, b"\x07")), struct()]
SECRET = struct((2, 6, b"\x08"), (8, 12, struct((2, 12, struct()))))


def footer_of(*groups):
    rows = [struct((1, 9, structs(*columns)), (3, 6, b"\x06")) for columns in groups]
    return struct(
        (1, 5, b"\x04"), (2, 9, structs(*OTHERS)), (3, 6, b"\x0c"), (4, 9, structs(*rows))
    )


def test_figures_are_those_that_were_written(tmp_path):
    plain = struct((2, 6, b"\x08"), (3, 12, META))
    path = written(tmp_path / "a", footer_of([plain, SECRET], [plain]))
    chunk = Chunk(3, start=4, length=9, uncompressed=10, is_flat=True, has_dictionary=True)
    assert read_footer(path) == Footer(6, (RowGroup(3, (chunk, None)), RowGroup(3, (chunk,))))


def test_every_end_that_is_too_early_is_an_error(tmp_path):
    footer = footer_of([struct((3, 12, META))])
    for end in range(len(footer)):
        with pytest.raises(ValueError, match="footer"):
            read_footer(written(tmp_path / "a", footer[:end]))


@pytest.mark.parametrize(
    ("footer", "message"),
    [
        (struct(), "lacks a field"),
        (struct((3, 6, b"\x02"), (4, 6, b"\x02")), "lacks a field"),
        (footer_of([struct((3, 12, struct()))]), "lacks a field"),
        (b"\x1d\x00", "kind 13"),
        (b"\x16" + b"\xff" * 12, "64 bits"),
        (b"\x19" + b"\x19" * 40, "too deep"),
    ],
)
def test_what_is_no_footer_is_an_error(tmp_path, footer, message):
    with pytest.raises(ValueError, match=message):
        read_footer(written(tmp_path / "a", footer))


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"PAR1\0\0\0\0PARE"]
)
def test_a_file_without_a_footer_in_the_clear_is_an_error(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="no footer in the clear"):
        read_footer(str(tmp_path / "a"))


@pytest.mark.parametrize("version", ["1.0", "2.6"])
def test_footers_are_read_as_pyarrow_reads_them(tmp_path, version):
    table = pa.table(
        {
            "text": ["a", None, "c"],
            "list": [[1, 2], [], None],
            "map": pa.array([[("k", 1.5)], None, []], pa.map_(pa.string(), pa.float64())),
            "time": pa.array([0, 1, 2], pa.timestamp("us", "UTC")),
            "decimal": [Decimal("1.5"), None, Decimal("-2.0")],
            "flag": [True, False, None],
        }
    )
    path = str(tmp_path / "a.parquet")
    pq.write_table(table, path, row_group_size=1, write_page_index=True, version=version)
    found, meta = read_footer(path), pq.read_metadata(path)
    assert found.num_rows == meta.num_rows == 3
    for number, group in enumerate(found.row_groups):
        theirs = [meta.row_group(number).column(at) for at in range(meta.num_columns)]
        assert group.num_rows == meta.row_group(number).num_rows
        assert group.chunks == tuple(
            Chunk(
                num_values=chunk.num_values,
                start=min(chunk.data_page_offset, chunk.dictionary_page_offset or 1 << 60),
                length=chunk.total_compressed_size,
                uncompressed=chunk.total_uncompressed_size,
                is_flat="." not in chunk.path_in_schema,
                has_dictionary=chunk.has_dictionary_page,
            )
            for chunk in theirs
        )
