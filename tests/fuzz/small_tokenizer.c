#include "small_tokenizer.h"

#include <stdlib.h>

#include "fuzz.h"

static const char file[] =
    "{\"version\": \"1.0\", \"added_tokens\": ["
    "{\"id\": 1, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": false, \"special\": true},"
    "{\"id\": 2, \"content\": \"</s>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": false, \"special\": true}],"
    "\"normalizer\": null, \"pre_tokenizer\": null, \"post_processor\": null, \"decoder\": null,"
    "\"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": false, "
    "\"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"a\": 3, \"b\": 4, \"ab\": 5, \"\\n\": 6, \"#\": "
    "7}, "
    "\"merges\": [\"a b\"]}}";

static struct loam_tokenizer *tokenizer;

static void destroy(void)
{
    loam_tokenizer_destroy(tokenizer);
}

const struct loam_tokenizer *small_tokenizer(void)
{
    struct loam_error error;
    if (tokenizer != NULL) return tokenizer;
    const char *path = fuzz_write("small_tokenizer.json", file, sizeof file - 1);
    fuzz_require(loam_tokenizer_load(&tokenizer, path, &error) == LOAM_OK);
    fuzz_require(atexit(destroy) == 0);
    return tokenizer;
}
