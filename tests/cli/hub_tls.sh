# A hub that serves https. A self-signed certificate is refused before any token is sent, unless SSL_CERT_FILE trusts it. A
# trusted certificate for another host is refused too.
command -v openssl >/dev/null || {
    echo 'openssl is missing; it makes the certificate of this test'
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

# not_trusted TEXT NAME: the pull fails with TEXT before it sends a request.
not_trusted() {
    begin fresh
    refuses 1 "$1" "$2" pull org/tiny
    no_requests
    no_token
}
not_trusted 'certificate' 'a self-signed certificate'
SSL_CERT_FILE=$tmp/other not_trusted 'certificate' 'another one is trusted'
begin fresh
SSL_CERT_FILE=$tmp/own ok 'trusted' pull org/tiny
snapshot=$(tail -n 1 "$tmp/stdout")
cmp -s "$hub/repos/org/tiny/model.safetensors" "$snapshot/model.safetensors" || fail 'other weights'
[ "$(count_requests 'hub GET')" -gt 0 ] || fail 'no request'
no_token

# A trusted certificate for another host.
: >"$hub/log"
exec {server}>&-
rm "$hub/address"
cat "$tmp/other" "$tmp/other.key" >"$hub/tls.pem"
. "$LOAM_SOURCE/tests/hub/common.sh"
SSL_CERT_FILE=$tmp/other not_trusted '127.0.0.1' 'a certificate for another host'
finish
