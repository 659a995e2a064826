# The files that `cmake --install` installs: the command, the library with exactly the symbols of loam.h, header, pkg-config
# file, manual page and completion. A program is built with them and run.
. "$(dirname "$0")/common.sh"
case_name=install
prefix=$tmp/prefix
cmake --install "$LOAM_BUILD" --prefix "$prefix" >"$tmp/log" 2>&1 || fail "$(cat "$tmp/log")"
library=$(find "$prefix" -name 'libloam.so')
[ -n "$library" ] || fail 'no libloam.so'
[ -s "$prefix/share/man/man1/loam.1" ] || fail 'no manual page'
for completion in bash-completion/completions/loam zsh/site-functions/_loam fish/vendor_completions.d/loam.fish; do
    [ -s "$prefix/share/$completion" ] || fail "no $completion"
done
"$prefix/bin/loam" --version >"$tmp/stdout" || fail 'the installed command does not run'

case_name='exported symbols'
nm -D "$library" >"$tmp/symbols"
nm -D --defined-only "$library" | awk '$2 ~ /[TDBR]/ && $3 !~ /^(_|__)/ { print $3 }' | sort >"$tmp/exported"
sed 's|//.*||' "$prefix/include/loam.h" | tr '\n' ' ' | grep -oE 'LOAM_API [^;]*;' | grep -oE 'loam_[a-z_]+\(' |
    sed 's/($/@@LOAM_1/' | sort >"$tmp/declared"
[ -s "$tmp/declared" ] && cmp -s "$tmp/exported" "$tmp/declared" || fail "$(diff "$tmp/exported" "$tmp/declared" || true)"

# With sanitizers, the runtime would have to be linked into the program.
if ! grep -q __asan_ "$tmp/symbols"; then
    case_name='a program against the library'
    cat >"$tmp/program.c" <<'C'
#include <loam.h>
#include <stdio.h>

int main(void)
{
    struct loam_error error;
    enum loam_command command;
    if (loam_command_find(&command, "trane", &error) == LOAM_OK) return 1;
    printf("%s: %s\n", loam_version(), error.message);
    return 0;
}
C
    libraries=$(dirname "$library")
    flags=$(PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs loam)
    # shellcheck disable=SC2086  # flags are several words
    cc -std=c11 -Wall -Wextra -Werror "$tmp/program.c" $flags -o "$tmp/program" || fail 'does not compile'
    LD_LIBRARY_PATH=$libraries "$tmp/program" >"$tmp/stdout" || fail 'does not run'
    output_has 'did you mean "train"?'
fi
finish
