#!/usr/bin/env bash
# Make FOLDER/python: Debian's Python for aarch64, emulated by qemu-aarch64-static, with the packages
# that this one needs, numba left out. Tests use it if CURATE_TEST_AARCH64 names it. Nothing outside
# of FOLDER is written.
set -euo pipefail
folder=$(realpath -m "$1")
mkdir -p "$folder"/{lists,archives}/partial "$folder"/{root,packages}
. /etc/os-release
cat >"$folder/apt.conf" <<END
APT { Architecture "arm64"; Architectures { "arm64"; }; Install-Recommends "false"; Sandbox::User "root"; }
Dir { State "$folder"; State::status "$folder/status"; Cache "$folder"; Cache::archives "$folder/archives";
  Etc::sourcelist "$folder/sources.list"; Etc::sourceparts "/dev/null"; }
END
: >"$folder/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian" \
  "$VERSION_CODENAME main" >"$folder/sources.list"
export APT_CONFIG="$folder/apt.conf"
apt-get update -qq
apt-get install -y -qq --download-only python3 libstdc++6 >/dev/null
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
executable=$(cd "$folder/root/usr/bin" && ls python3.* | head -1)

cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
"$python" - >"$folder/needed" <<'END'
import tomllib
needed = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]
print(*(one for one in needed if not one.startswith("numba")), sep="\n")
END
platforms=$(printf -- '--platform manylinux_2_%s_aarch64 ' 28 27 24 17)
# shellcheck disable=SC2086
"$python" -m pip install -q --no-compile --target "$folder/packages" $platforms --only-binary=:all: \
  --python-version "${executable#python}" -c constraints.txt -r "$folder/needed"

cat >"$folder/python" <<END
#!/bin/sh
export PYTHONPATH="$PWD:$folder/packages"
exec qemu-aarch64-static -L "$folder/root" "$folder/root/usr/bin/$executable" "\$@"
END
chmod +x "$folder/python"
