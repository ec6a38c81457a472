#!/usr/bin/env bash
# img2dataset==1.47.0 (pyarrow==26.0.1), input_format="tsv", as CC3M and CC12M are distributed: a
# caption that begins with a quotation mark swallows the rows behind it up to the next mark, since
# the file is read as CSV with tabs. Their URLs become part of the caption, and nothing is reported:
# of seven rows five samples come, "success: 1.000". Marks around a caption are taken off, too.
#   5 samples
#   "open quote only\nURL/4.png\tfive\nURL/5.png\tsix end"
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
    import json
    import tarfile

    from img2dataset import download

    url = serve({f'/{n}.png': encoded(Image.new('RGB', (64, 64)), 'PNG') for n in range(7)})
    captions = ['one', '"quoted" starts', 'a 12" record', '"open quote only', 'five', 'six" end',
                'seven']
    with open('in.tsv', 'w') as file:
        file.write('url\ttext\n')
        file.writelines(f'{url}/{n}.png\t{text}\n' for n, text in enumerate(captions))
    download(url_list='in.tsv', input_format='tsv', url_col='url', caption_col='text',
             output_format='webdataset', output_folder='out', processes_count=1, thread_count=2,
             image_size=32, disallowed_header_directives=[])
    found = {}
    with tarfile.open(*glob.glob('out/*.tar')) as tar:
        for member in tar:
            if member.name.endswith('json'):
                meta = json.load(tar.extractfile(member))
                found[meta['key']] = meta['caption'].replace(url, 'URL')
    print(len(found), 'samples')
    print(json.dumps(found['000000003']))
    assert len(found) == 5, found
    assert found['000000003'] == 'open quote only\nURL/4.png\tfive\nURL/5.png\tsix end', found
    assert found['000000001'] == 'quoted starts', found
PY
venv/bin/python ask.py 2>log.txt || { tail -20 log.txt; exit 1; }
