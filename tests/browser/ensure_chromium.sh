#!/bin/sh
# The page of the examples is tested in a real browser, and never skipped: install Debian's where it is missing and we may.
set -eu
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium for the tests of examples/verifier.html ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
  echo "The tests of examples/verifier.html need Chromium. On Debian 12, as root: apt install chromium" >&2
  exit 1
fi
