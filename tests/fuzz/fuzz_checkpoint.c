// The state and the checksums of a checkpoint, two files. A state that is accepted must be one that a
// loop can continue from, and must be the same after it was written and read again.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "run/checkpoint_files.h"
#include "run/checkpoint_state.h"
#include "run/recorded.h"

// Formats the state without its times, which advance.
static char *text_of(const struct loam_loop *loop)
{
    json_t *state = loam_checkpoint_state_format(loop);
    fuzz_require(state != NULL);
    json_object_del(state, "seconds");
    json_object_del(state, "logged_seconds");
    char *text = json_dumps(state, JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    fuzz_require(text != NULL);
    json_decref(state);
    return text;
}

static void check_again(const struct loam_loop *loop)
{
    struct loam_error error;
    struct loam_loop again = {0};
    json_t *state = loam_checkpoint_state_format(loop);
    fuzz_require(loam_checkpoint_state_parse(&again, state, "again", &error) == LOAM_OK);
    json_decref(state);
    char *first = text_of(loop), *second = text_of(&again);
    fuzz_require(strcmp(first, second) == 0);
    free(first);
    free(second);
}

static void check_state(const json_t *root)
{
    struct loam_error error;
    struct loam_loop loop = {0};
    enum loam_status status = loam_checkpoint_state_parse(&loop, json_object_get(root, "state"), "x", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(loop.step >= 1 && loop.updates <= loop.step && loop.tokens >= -1);
    check_again(&loop);
}

// Compares the recorded options with the current ones, which must give an answer for every record.
static void check_options(const json_t *root)
{
    struct loam_error error;
    const json_t *recorded = json_object_get(root, "options");
    json_t *now = json_pack("{s:s, s:s, s:{s:s, s:s}}", "lora-r", "8", "seed", "42", "data", "path", "d.json",
                            "sha256", "00");
    fuzz_require(now != NULL);
    struct loam_bytes changes = {0}, none = {0};
    enum loam_status status = loam_recorded_compare(recorded, now, "x", false, NULL, &changes, &error);
    fuzz_require(status == LOAM_OK || status == LOAM_ERROR_ARGUMENT);
    fuzz_require_message(status, &error);
    fuzz_require(loam_recorded_compare(now, now, "x", false, NULL, &none, &error) == LOAM_OK);
    fuzz_require(none.size == 0);
    loam_bytes_deinit(&changes);
    json_decref(now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct fuzz_part rest = {data, size};
    struct fuzz_part state = fuzz_next_part(&rest, 0), sums = fuzz_next_part(&rest, 1);
    fuzz_write(LOAM_CHECKPOINT_STATE, state.data, state.size);
    fuzz_write(LOAM_CHECKPOINT_SUMS, sums.data, sums.size);
    fuzz_require_message(loam_checkpoint_verify(fuzz_directory(), &error), &error);
    json_t *root;
    enum loam_status status = loam_checkpoint_state_load(&root, fuzz_directory(), &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    check_state(root);
    check_options(root);
    json_decref(root);
    return 0;
}
