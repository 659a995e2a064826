# A hub whose certificate is not signed by a trusted authority is refused, and gets no token, unless the certificate is
# trusted. A certificate for another host is refused too.
command -v openssl >/dev/null || {
    echo 'openssl is not there, which makes the certificate of this test'
    exit 77
}
. "$(dirname "$0")/common.sh"
mkdir -p "$tmp/hub"
certificate() { # NAME FILE
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=loam test" \
        -addext "subjectAltName=$1" -keyout "$2.key" -out "$2" 2>"$tmp/openssl" || {
        cat "$tmp/openssl"
        exit 1
    }
}
certificate IP:127.0.0.1 "$tmp/own"
certificate DNS:hub.example "$tmp/other"
cat "$tmp/own" "$tmp/own.key" >"$tmp/hub/tls.pem"
. "$LOAM_SOURCE/tests/hub/common.sh"
export HF_TOKEN=$token
mkdir -p "$hub/repos/org"
make_model "$hub/repos/org/tiny"
case $HF_ENDPOINT in https://*) ;; *) fail "the hub is at $HF_ENDPOINT" ;; esac

# not_trusted TEXT: the pull fails before any request.
not_trusted() {
    begin fresh
    refuses 1 "$1" "$2" pull org/tiny
    silent
    no_token
}
not_trusted 'certificate' 'a certificate that nobody knows'
SSL_CERT_FILE=$tmp/other not_trusted 'certificate' 'another one is trusted'
begin fresh
SSL_CERT_FILE=$tmp/own ok 'trusted' pull org/tiny
snapshot=$(tail -n 1 "$tmp/stdout")
cmp -s "$hub/repos/org/tiny/model.safetensors" "$snapshot/model.safetensors" || fail 'other weights'
[ "$(asked 'hub GET')" -gt 0 ] || fail 'nothing was asked'
no_token

# A trusted certificate for another host.
: >"$hub/log"
exec {server}>&-
rm "$hub/address"
cat "$tmp/other" "$tmp/other.key" >"$hub/tls.pem"
. "$LOAM_SOURCE/tests/hub/common.sh"
SSL_CERT_FILE=$tmp/other not_trusted '127.0.0.1' 'a certificate for another host'
finish
