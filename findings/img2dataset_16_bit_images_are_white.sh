#!/usr/bin/env bash
# img2dataset==1.47.0 (opencv-python-headless==4.14.0.94): a PNG of 16 bits a channel, as scans,
# depth maps and renderings have, becomes white: its values are cut off at 255 of 65,535 instead of
# scaled, and the sample counts as a success. An image of one eighth of the brightness:
#   8 bits: 32, 16 bits: 255
# Seen on 2026-11-29.
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
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq
    from img2dataset import download

    images = {'/8.png': Image.new('L', (64, 64), 32), '/16.png': Image.new('I;16', (64, 64), 8192)}
    url = serve({name: encoded(image, 'PNG') for name, image in images.items()})
    pq.write_table(pa.table({'url': [url + n for n in images], 'text': list(images)}), 'in.parquet')
    download(url_list='in.parquet', input_format='parquet', url_col='url', caption_col='text',
             output_format='webdataset', output_folder='out', processes_count=1, thread_count=2,
             image_size=32, disallowed_header_directives=[])
    found, names = {}, {}
    with tarfile.open(*glob.glob('out/*.tar')) as tar:
        for member in tar:
            key, kind = member.name.split('.')
            data = tar.extractfile(member).read()
            if kind == 'jpg':
                found[key] = Image.open(io.BytesIO(data)).convert('L').getpixel((16, 16))
            elif kind == 'txt':
                names[data.decode()] = key
    eight, sixteen = found[names['/8.png']], found[names['/16.png']]
    print(f'8 bits: {eight}, 16 bits: {sixteen}')
    assert abs(eight - 32) <= 2 and sixteen == 255, (eight, sixteen)
PY
venv/bin/python ask.py 2>log.txt || { tail -20 log.txt; exit 1; }
