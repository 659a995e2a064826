# Random data files, valid and broken, compared with Python's json.
. "$(dirname "$0")/common.sh"
case_name=data_random
command -v python3 >/dev/null || {
    echo 'python3 is not there'
    exit 77
}
make_model "$tmp/model"
mkdir "$tmp/data"
python3 "$(dirname "$0")/data_random.py" "$LOAM" "$tmp/model" "$tmp/data" || fail 'a random file'
finish
