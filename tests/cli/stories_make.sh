# The scripts of examples/stories write, from their seeds, the same bytes as when the base model was made.
. "$(dirname "$0")/common.sh"
if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: python3 is not there, which makes the texts of examples/stories'
    exit 77
fi
case_name='make --check'
"$LOAM_SOURCE/examples/stories/make" --check >"$tmp/stdout" 2>&1 || fail "$(cat "$tmp/stdout")"
# The checksums are those of the committed files.
case_name='committed files'
(cd "$LOAM_SOURCE/examples/stories" && grep -Ev ' (text|quiz).jsonl$' SHA256SUMS | sha256sum --check --quiet) ||
    fail 'a file is not the one that was made'
finish
