// The files of a model directory that name its special tokens. An input is up to four of them, separated
// by 0xFF.
#include <stdio.h>

#include "fuzz.h"
#include "small_tokenizer.h"
#include "text/special.h"
#include "text/vocab.h"

static void check(const struct loam_special_tokens *special)
{
    // tokenizer_config.json may name tokens beyond the tokenizer's own.
    fuzz_require(special->bos >= -1 && special->bos < LOAM_MAX_VOCABULARY);
    fuzz_require(special->eos >= -1 && special->eos < LOAM_MAX_VOCABULARY);
    fuzz_require(special->eos < 0 ||
                 (special->eos_text != NULL && loam_special_tokens_is_stop(special, special->eos)));
    fuzz_require(!special->add_bos || special->bos >= 0);
    fuzz_require(!special->add_eos || special->eos >= 0);
}

// tokenizer_config.json also adds tokens to the tokenizer beside it.
static void load_beside(void)
{
    char path[512];
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    snprintf(path, sizeof path, "%s/small_tokenizer.json", fuzz_directory());
    enum loam_status status = loam_tokenizer_load(&tokenizer, path, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(loam_tokenizer_vocabulary_size(tokenizer) >= SMALL_VOCABULARY);
    loam_tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "generation_config.json", "config.json"};
    enum { COUNT = sizeof names / sizeof *names };
    const struct loam_tokenizer *tokenizer = small_tokenizer(); // made before the other files exist
    struct fuzz_part rest = {data, size};
    for (int i = 0; i < COUNT; i++) {
        struct fuzz_part part = fuzz_next_part(&rest, i == COUNT - 1);
        if (part.size > 0)
            (void)fuzz_write(names[i], part.data, part.size);
        else
            fuzz_remove(names[i]);
    }
    load_beside();
    struct loam_error error;
    struct loam_special_tokens special;
    enum loam_status status = loam_special_tokens_load(&special, fuzz_directory(), tokenizer, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    check(&special);
    loam_special_tokens_deinit(&special);
    return 0;
}
