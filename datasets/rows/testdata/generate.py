"""Writes the Parquet files of this folder with pyarrow: other writers' dialects, read by TestPyArrow.

python generate.py   (pyarrow 26)
"""
import pyarrow as pa
import pyarrow.parquet as pq

message = pa.struct([("role", pa.string()), ("content", pa.string())])
schema = pa.schema([
    ("id", pa.int32()),
    ("weight", pa.float32()),
    ("ok", pa.bool_()),
    ("text", pa.large_string()),
    ("messages", pa.list_(message)),
    ("nested", pa.list_(pa.list_(pa.string()))),
    ("info", pa.struct([("tags", pa.list_(pa.string())), ("n", pa.int64())])),
])


def turn(i, k):
    return [{"role": "user" if j % 2 == 0 else "assistant", "content": None if (i, j) == (3, 1) else f"m{i}.{j} é"}
            for j in range(k)]


rows = [
    {
        "id": i,
        "weight": i / 4,
        "ok": None if i == 2 else i % 2 == 0,
        "text": None if i == 1 else "" if i == 4 else f"text {i % 3}",
        "messages": None if i == 5 else turn(i, i % 4),
        "nested": [[], ["a", None], None][: i % 4],
        "info": None if i == 6 else {"tags": ["x"] * (i % 3), "n": i * 10},
    }
    for i in range(20)
]
table = pa.Table.from_pylist(rows, schema=schema)

for codec in ["none", "snappy", "zstd", "gzip", "lz4", "brotli"]:
    pq.write_table(table, f"{codec}.parquet", row_group_size=7, compression=codec)
pq.write_table(table, "v2-delta.parquet", row_group_size=7, data_page_version="2.0", use_dictionary=False,
               column_encoding={"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"}, data_page_size=64)
pq.write_table(table, "legacy-list.parquet", row_group_size=20, use_compliant_nested_type=False, version="1.0")
pq.write_table(table, "checksum.parquet", row_group_size=7, compression="none", write_page_checksum=True)
