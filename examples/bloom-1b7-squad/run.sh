#!/usr/bin/env bash
# The reference run: BLOOM-1b7, LoRA on SQuAD v2 for 100 steps, then three questions to the result.
#   run.sh MODEL_DIR TRAIN_JSON OUT_DIR
# LOAM names the command if it is not on the PATH. Further training options can be put behind the three arguments;
# they override the ones below.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 MODEL_DIR TRAIN_JSON OUT_DIR [training options]" >&2
    exit 2
fi
model=$1 data=$2 out=$3
shift 3
loam=${LOAM:-loam}

"$loam" train --model "$model" --data "$data" --template squad --out "$out" \
    --lora-r 8 --lora-alpha 16 --lora-dropout 0.05 --target-modules query_key_value \
    --learning-rate 1e-5 --weight-decay 0.01 --max-steps 100 --per-device-train-batch-size 4 \
    --logging-steps 1 --seed 42 "$@"

ask() {
    printf '\n## %s\n' "$2"
    "$loam" generate --model "$model" --adapter "$out" --template squad --max-new-tokens 200 \
        --field "context=$1" --field "question=$2"
    echo
}

cheese='Cheese is the best food.'
moon='The Moon is the only natural satellite of the Earth. It orbits the Earth at an average distance of 384,400
kilometres, about thirty times the diameter of the Earth, and always turns the same side towards it.'
ask "$cheese" 'What is the best food?'
ask "$cheese" 'How far away is the Moon from the Earth?'
ask "${moon//$'\n'/ }" 'At what distance does the Moon orbit the Earth?'
