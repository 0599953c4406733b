#!/bin/sh
# Print the path of a Python that riacho can run on: 3.11 or newer, with venv and pip. Tried versions come first.
for name in python3.11 python3.12 python3.13 python3 python3.14 python; do
    if path=$(command -v "$name") \
        && "$path" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$path"
        exit 0
    fi
done
cat >&2 <<'MESSAGE'
riacho needs Python 3.11 or newer with the modules venv and ensurepip, and found none.
Install it with your package manager, for example:
    apt-get install python3 python3-venv      (Debian 12 and Ubuntu 24.04 or newer)
    dnf install python3.12                    (Fedora, RHEL 9)
    brew install python@3.12                  (macOS)
MESSAGE
exit 1
