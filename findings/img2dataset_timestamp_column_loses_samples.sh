#!/usr/bin/env bash
# img2dataset==1.47.0 (pandas==2.3.3): with a column of timestamps (dates of crawls, say) among
# save_additional_columns, every sample that was downloaded is lost, for its JSON cannot be written.
# The summary counts all of them as successes; the tar is empty, and so is the Parquet file.
#   "successes": 3; tar: 0 members; Parquet: 0 rows
# Without the column: 9 members, 3 rows. Seen on 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q img2dataset==1.47.0 pandas==2.3.3 numpy==2.4.6 pyarrow==26.0.1 \
  opencv-python-headless==4.14.0.94 albumentations==1.4.24 pillow==13.0.0
cd "$folder"
export NO_ALBUMENTATIONS_UPDATE=1
cat >ask.py <<'PY'
import http.server
import io
import threading

from PIL import Image


def serve(files):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def encoded(image, kind, **more):
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


if __name__ == '__main__':
    import glob
    import json
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq
    from img2dataset import download

    url = serve({f'/{n}.png': encoded(Image.new('RGB', (64, 64)), 'PNG') for n in range(3)})
    pq.write_table(pa.table({
        'url': [f'{url}/{n}.png' for n in range(3)], 'text': ['a', 'b', 'c'],
        'crawled': pa.array([0, 1, 2], pa.timestamp('us')),
    }), 'in.parquet')
    seen = {}
    for columns in (['crawled'], []):
        out = f'out{len(columns)}'
        download(url_list='in.parquet', input_format='parquet', url_col='url', caption_col='text',
                 output_format='webdataset', output_folder=out, processes_count=1, thread_count=2,
                 image_size=32, save_additional_columns=columns, disallowed_header_directives=[])
        stats = json.load(open(*glob.glob(f'{out}/*_stats.json')))
        with tarfile.open(*glob.glob(f'{out}/*.tar')) as tar:
            members = len(tar.getnames())
        rows = sum(pq.ParquetFile(file).metadata.num_rows for file in glob.glob(f'{out}/*.parquet'))
        seen[out] = stats['successes'], members, rows
        print(columns, '"successes": %d; tar: %d members; Parquet: %d rows' % seen[out])
    assert seen == {'out1': (3, 0, 0), 'out0': (3, 9, 3)}, seen
PY
venv/bin/python ask.py 2>log.txt || { tail -20 log.txt; exit 1; }
