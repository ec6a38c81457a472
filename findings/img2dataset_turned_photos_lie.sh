#!/usr/bin/env bash
# img2dataset==1.47.0 (opencv-python-headless==4.14.0.94): photos that say in EXIF how they are to
# be turned, as phones write them, are stored lying, and the mark is gone from the new JPEG, so that no later
# reader can turn them; it is left only as text in the JSON. Red above blue comes out side by side:
#   shown by a viewer (64, 96): top (254, 0, 0), bottom (0, 0, 254)
#   stored (96, 64): left (254, 0, 0), right (0, 0, 254), orientation None
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
    from PIL import ImageOps

    lying = Image.new('RGB', (96, 64), 'red')
    lying.paste('blue', (48, 0, 96, 64))
    exif = Image.Exif()
    exif[0x112] = 6
    photo = encoded(lying, 'JPEG', exif=exif, subsampling=0, quality=95)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(photo)))
    top, bottom = upright.getpixel((32, 16)), upright.getpixel((32, 80))
    print(f'shown by a viewer {upright.size}: top {top}, bottom {bottom}')
    url = serve({'/photo.jpg': photo})
    pq.write_table(pa.table({'url': [url + '/photo.jpg'], 'text': ['a photo']}), 'in.parquet')
    download(url_list='in.parquet', input_format='parquet', url_col='url', caption_col='text',
             output_format='webdataset', output_folder='out', processes_count=1, thread_count=2,
             resize_mode='no', disallowed_header_directives=[])
    with tarfile.open(*glob.glob('out/*.tar')) as tar:
        stored = Image.open(tar.extractfile(next(m for m in tar if m.name.endswith('jpg'))))
        left, right = stored.getpixel((16, 32)), stored.getpixel((80, 32))
        turned = stored.getexif().get(0x112)
    print(f'stored {stored.size}: left {left}, right {right}, orientation {turned}')
    assert upright.size == (64, 96) and top[0] > 200 and bottom[2] > 200, (top, bottom)
    assert stored.size == (96, 64) and left[0] > 200 and right[2] > 200, (left, right)
    assert turned is None, turned
PY
venv/bin/python ask.py 2>log.txt || { tail -20 log.txt; exit 1; }
