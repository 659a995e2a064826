# docs/API.md names every function, struct and enum of loam.h, and names no function that loam.h does not have.
. "$(dirname "$0")/common.sh"
case_name='functions'
header=$LOAM_SOURCE/include/loam.h
page=$LOAM_SOURCE/docs/API.md
sed 's|//.*||' "$header" | tr '\n' ' ' | grep -oE 'LOAM_API [^;]*;' | grep -oE 'loam_[a-z_]+\(' | tr -d '(' | sort -u >"$tmp/declared"
[ -s "$tmp/declared" ] || fail 'no functions'
grep -oE '\bloam_[a-z_]+\(' "$page" | tr -d '(' | sort -u >"$tmp/documented"
cmp -s "$tmp/declared" "$tmp/documented" || fail "$(diff "$tmp/declared" "$tmp/documented" || true)"
case_name='structs and enums'
sed 's|//.*||' "$header" | grep -oE '^(struct|enum) loam_[a-z_]+' | sort -u >"$tmp/types"
while read -r type; do grep -qE "\b$type\b" "$page" || fail "no $type"; done <"$tmp/types"
finish
