# Runs the commands of each page below in order in one empty directory. A block "```sh" is a script. A block "```text" after
# it shows its output: each of its lines must appear, in this order, with other lines allowed between. Numbers with a decimal
# point, speeds and amounts of memory match any such number; "…" matches anything. A script whose output shows a line that
# begins with "loam: " must fail; every other one must succeed.
. "$(dirname "$0")/common.sh"
# The directory of the sources and the command, as a reader has them.
export HOME=$tmp/home
mkdir "$HOME"
ln -s "$LOAM_SOURCE" "$HOME/loam"
PATH=$(dirname "$LOAM"):$PATH

# take_blocks PAGE DIR: writes the blocks of a page to DIR/NN.sh and DIR/NN.text.
take_blocks() {
    awk -v out="$2" '
    /^```/ {
        if (kind != "") { close(file); kind = ""; next }
        kind = substr($0, 4)
        if (kind == "") next
        if (kind == "sh") number++
        file = sprintf("%s/%02d.%s", out, number, kind)
        printf "" >file
        next
    }
    kind != "" { print >file }' "$1"
}

# Replaces values that vary between machines by a mark, and removes blanks, whose number depends on the width of values.
plain() {
    sed -E 's/[0-9]+\.[0-9]+(e[-+]?[0-9]+)?/#/g; s/[0-9]+( tokens\/s| MiB)/#\1/g; s/[[:blank:]]+/ /g; s/ $//' "$1"
}
# Checks that every line of the first file is in the second, in order; "…" matches text of any length.
in_order() {
    awk '
    function matches(line, shown,    parts, count, i, at) {
        count = split(shown, parts, "…")
        if (substr(line, 1, length(parts[1])) != parts[1]) return 0
        if (count == 1) return line == shown
        line = substr(line, length(parts[1]) + 1)
        for (i = 2; i < count; i++) {
            at = index(line, parts[i])
            if (at == 0) return 0
            line = substr(line, at + length(parts[i]))
        }
        return length(line) >= length(parts[count]) &&
            substr(line, length(line) - length(parts[count]) + 1) == parts[count]
    }
    FNR == NR { if ($0 != "") shown[++total] = $0; next }
    BEGIN { next_line = 1 }
    next_line <= total && matches($0, shown[next_line]) { next_line++ }
    END {
        if (next_line > total) exit 0
        print "not printed: " shown[next_line]
        exit 1
    }' "$1" "$2"
}

# run_page PAGE LEAST: runs the blocks of a page of the repository, which must be at least LEAST.
run_page() {
    local script shown code count=0 name=${1//\//-}
    mkdir "$tmp/blocks-$name" "$tmp/$name"
    take_blocks "$LOAM_SOURCE/$1" "$tmp/blocks-$name"
    cd "$tmp/$name"
    for script in "$tmp/blocks-$name"/*.sh; do
        case_name="$1, block $(basename "$script" .sh): $(grep -v '^ *#' "$script" | head -n 1)"
        shown=${script%.sh}.text
        count=$((count + 1))
        code=0
        bash -eu "$script" </dev/null >"$tmp/printed" 2>&1 || code=$?
        if [ -e "$shown" ] && grep -q '^loam: ' "$shown"; then
            [ "$code" -ne 0 ] || fail "succeeds: $(cat "$tmp/printed")"
        elif [ "$code" -ne 0 ]; then
            fail "exit code $code: $(cat "$tmp/printed")"
            return # what follows builds upon it
        fi
        [ -e "$shown" ] || continue
        plain "$shown" >"$tmp/shown"
        plain "$tmp/printed" >"$tmp/plain"
        in_order "$tmp/shown" "$tmp/plain" || fail "printed: $(cat "$tmp/printed")"
    done
    case_name=$1
    [ "$count" -ge "$2" ] || fail "only $count blocks of commands were found"
}

run_page docs/TUTORIAL.md 10
run_page examples/chat/README.md 8
finish
