# The hardening of a release build, as it shows in the command and in the library.
. "$(dirname "$0")/common.sh"
case_name=hardening
[ -n "$LOAM_HARDENING" ] || {
    echo 'this build is not hardened (sanitizers, or LOAM_HARDEN=OFF)'
    exit 77
}
command -v readelf >/dev/null || {
    echo 'readelf is not there'
    exit 77
}
library=$LOAM_BUILD/libloam.so
asked() { [[ " $LOAM_HARDENING " == *" $1 "* ]]; }
for file in "$LOAM" "$library"; do
    case_name=${file##*/}
    readelf -W --file-header --program-headers --dynamic --symbols "$file" >"$tmp/elf"
    grep -q 'Type: *DYN' "$tmp/elf" || fail 'is not at a random address'
    ! grep -q TEXTREL "$tmp/elf" || fail 'its code is written to when it is loaded'
    ! asked relro || grep -q GNU_RELRO "$tmp/elf" || fail 'no relro'
    ! asked now || grep -qE 'BIND_NOW|FLAGS_1.*NOW' "$tmp/elf" || fail 'symbols are bound late'
    grep -E '^ *GNU_STACK' "$tmp/elf" | grep -q ' RW ' || fail 'an executable stack'
    ! grep -qE '^ *LOAD .* RWE ' "$tmp/elf" || fail 'memory that can be written and run'
    ! asked -fstack-protector-strong || grep -q '__stack_chk_fail' "$tmp/elf" || fail 'no guard on the stack'
    [[ "$LOAM_HARDENING" != *_FORTIFY_SOURCE=* ]] || grep -qE 'UND __[a-z]+_chk' "$tmp/elf" || fail 'no checked copies'
done
readelf -W --dynamic "$LOAM" | grep -q 'FLAGS_1.*PIE' || fail 'the command is not position independent'

# The linker keeps this mark only if the start files of the C library have it too. loam's object files always have it.
if asked -fcf-protection; then
    for archive in "$LOAM_BUILD"/libloam_*.a; do
        case_name=${archive##*/}
        objects=$(readelf --file-header "$archive" | grep -c '^ELF Header' || true)
        marked=$(readelf --notes "$archive" | grep -c 'x86 feature: .*IBT.*SHSTK' || true)
        [ "$objects" -gt 0 ] && [ "$objects" -eq "$marked" ] || fail "jumps may land anywhere in $((objects - marked)) files"
    done
fi

# Hardening without a mark in the file shows in the compile commands: all of src/ except the kernels.
case_name='compile commands'
for flag in $LOAM_HARDENING; do
    [[ "$flag" == -* ]] || continue
    grep '"command"' "$LOAM_BUILD/compile_commands.json" | grep '/src/' | grep -v '/cpu/kernels/' >"$tmp/commands"
    [ -s "$tmp/commands" ] || fail 'no commands'
    [ "$(grep -cF -- "$flag" "$tmp/commands")" -eq "$(wc -l <"$tmp/commands")" ] || fail "$flag is missing somewhere"
done
finish
