# Directories without permission to write or read, as a user for whom permissions apply.
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --)
    "${as_user[@]}" "$LOAM" --version >/dev/null 2>&1 || {
        echo 'root may write anywhere, and no other user can run the command where it was built'
        exit 77
    }
fi
. "$(dirname "$0")/common.sh"
# Readable by that user, whatever the umask.
chmod 755 "$tmp"
make_model "$tmp/model"
cp "$tiny/questions.json" "$tiny/config.json" "$tmp"
chmod -R a+rX "$tmp"
mkdir "$tmp/locked" "$tmp/hidden" && echo mine >"$tmp/locked/notes" && cp -r "$tmp/model" "$tmp/hidden"
chmod 555 "$tmp/locked" && chmod 700 "$tmp/hidden"
[ "$(id -u)" -eq 0 ] || chmod 000 "$tmp/hidden"
trap 'chmod -R u+rwx "$tmp" && rm -rf "$tmp"' EXIT
printf '#!/usr/bin/env bash\nexec %s "%s" "$@"\n' "${as_user[*]}" "$LOAM" >"$tmp/as_user"
chmod 755 "$tmp/as_user"
LOAM=$tmp/as_user
train=(train --data "$tmp/questions.json" --max-steps 1 "${one_thread[@]}")

for command in train init; do
    arguments=("${train[@]}" --model "$tmp/model")
    [ "$command" = train ] || arguments=(init --config "$tmp/config.json")
    refuses 1 "$tmp/locked: Permission denied" "$command: a locked directory" "${arguments[@]}" --out "$tmp/locked" --overwrite
    refuses 1 "$tmp/locked/out: Permission denied" "$command: below a locked directory" "${arguments[@]}" --out "$tmp/locked/out"
    [ "$(ls -A "$tmp/locked")" = notes ] || fail "left behind: $(ls -A "$tmp/locked")"
done
# A file that only its owner may replace, or that cannot be replaced: detected before the first step.
protected() {
    refuses 1 "cannot write $tmp/shared/README.md: Operation not permitted" "$1" "${train[@]}" --model "$tmp/model" \
        --out "$tmp/shared" --overwrite
    grep -q '^step' "$tmp/stderr" && fail 'steps came first'
    [ "$(ls -A "$tmp/shared")" = README.md ] || fail "left behind: $(ls -A "$tmp/shared")"
}
mkdir "$tmp/shared" && echo mine >"$tmp/shared/README.md" && chmod 1777 "$tmp/shared"
[ "$(id -u)" -ne 0 ] || protected 'a directory with the sticky bit'
if chattr +i "$tmp/shared/README.md" 2>/dev/null; then
    chmod 777 "$tmp/shared"
    protected 'an immutable file'
    chattr -i "$tmp/shared/README.md"
fi
refuses 1 "$tmp/hidden/model" 'a model that may not be read' "${train[@]}" --model "$tmp/hidden/model" --out "$tmp/out"
refuses 1 "$tmp/hidden/model" 'inspect: a model that may not be read' inspect "$tmp/hidden/model"
chmod 600 "$tmp/questions.json" && [ "$(id -u)" -eq 0 ] || chmod 000 "$tmp/questions.json"
refuses 1 "$tmp/questions.json: Permission denied" 'data that may not be read' "${train[@]}" --model "$tmp/model" --out "$tmp/out"
finish
