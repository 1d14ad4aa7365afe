#!/bin/bash
# Installs what the tests need from Debian's packages, or says which command does.
set -euo pipefail

missing=()
need() { # package, then a test that succeeds when it is there
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
need rabbitmq-server test -x /usr/lib/rabbitmq/bin/rabbitmq-server
need postgresql bash -c 'compgen -G "/usr/lib/postgresql/*/bin/postgres"'
need dovecot-imapd test -x /usr/sbin/dovecot
need chromium bash -c 'command -v chromium'
need prometheus bash -c 'command -v promtool'
need curl bash -c 'command -v curl'
need python3-aiosmtpd /usr/bin/python3 -c 'import aiosmtpd'
need python3-pika /usr/bin/python3 -c 'import pika'
need procps bash -c 'command -v pgrep'
need python3-venv /usr/bin/python3 -c 'import ensurepip'

# Providers' own libraries, and somebody else's SMSC, each in a place of its own
here=$(cd "$(dirname "$0")" && pwd)
python_libraries() {
  cmp -s "$here/requirements.txt" "$here/.venv/installed" && return
  echo "installing for the tests: $(grep -v '^#' "$here/requirements.txt" | tr '\n' ' ')"
  /usr/bin/python3 -m venv "$here/.venv"
  "$here/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$here/.venv/installed"
}
smsc() {
  cmp -s "$here/smsc/package-lock.json" "$here/smsc/node_modules/installed" && return
  npm --prefix "$here/smsc" ci --no-audit --no-fund --silent
  cp "$here/smsc/package-lock.json" "$here/smsc/node_modules/installed"
}
[ ${#missing[@]} -eq 0 ] && { python_libraries; smsc; exit 0; }

install="apt-get install -y ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then as_root=(); elif command -v sudo >/dev/null; then as_root=(sudo); else
  echo "The tests need packages that are not installed. Install them with:  sudo $install" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "The tests need: ${missing[*]} (Debian's names). Install them and try again." >&2; exit 1; }
echo "installing for the tests: ${missing[*]}"
# Debian starts servers when it installs them: not here, the tests start their own
guard=/usr/sbin/policy-rc.d
made=
if [ ! -e "$guard" ]; then made=1; printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$guard" >/dev/null; "${as_root[@]}" chmod +x "$guard"; fi
trap '[ -z "$made" ] || "${as_root[@]}" rm -f "$guard"' EXIT
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
python_libraries
smsc
