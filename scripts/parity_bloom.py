#!/usr/bin/env python3
"""Writes config.json and tokenizer.json of a small BLOOM, for `loam init`.

    parity_bloom.py SQUAD.json OUT

The tokenizer has BLOOM's pre-tokenizer, special tokens and ids, and is trained on the contexts of the SQuAD file. As in
BLOOM, the embedding has more rows than the tokenizer has tokens. The head count is not a power of two.
"""

import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

TOKENS = 4000
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
CONFIG = dict(
    architectures=["BloomForCausalLM"], model_type="bloom", n_embed=96, n_layer=3, num_attention_heads=6,
    vocab_size=4096, layer_norm_epsilon=1e-5, initializer_range=0.02, hidden_dropout=0.0, attention_dropout=0.0,
    apply_residual_connection_post_layernorm=False, unk_token_id=0, bos_token_id=1, eos_token_id=2, pad_token_id=3,
)


def contexts(squad):
    for article in json.loads(squad.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"]


def main(squad, out):
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(" ?[^(\\s|[.,!?…。，、।۔،])]+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=TOKENS, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(contexts(squad), trainer)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: parity_bloom.py SQUAD.json OUT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
