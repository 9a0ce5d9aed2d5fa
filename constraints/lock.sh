#!/bin/sh
# Write constraints/all.txt and constraints/dev.txt from pyproject.toml: exact versions with hashes, no index addresses.
# `dev` is a subset of `all` at the same versions.
set -eu
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" - "$here/../pyproject.toml" "$work" <<'PY'
import pathlib
import sys
import tomllib

project = tomllib.loads(pathlib.Path(sys.argv[1]).read_text())
work = pathlib.Path(sys.argv[2])
extras = project["project"]["optional-dependencies"]
dev = project["project"]["dependencies"] + project["dependency-groups"]["dev"] + extras["bench"]
(work / "dev.in").write_text("\n".join(dev) + "\n")
(work / "all.in").write_text("\n".join(dev + extras["tensorflow"] + extras["ray"]) + "\n")
PY
compile() {
  "$PYTHON" -m piptools compile --quiet --generate-hashes --no-header --no-annotate --allow-unsafe --strip-extras \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@"
}
compile -o "$here/all.txt" "$work/all.in"
compile -c "$here/all.txt" -o "$here/dev.txt" "$work/dev.in"
