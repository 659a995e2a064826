// What every fuzz target shares: one input in, and files for the parsers that read files.
//
// A target is one function that takes any bytes and must neither crash, nor leak, nor run on for long;
// libFuzzer drives it (scripts/fuzz), and replay.c runs the corpus through it in every test run.
#ifndef LOAM_TESTS_FUZZ_FUZZ_H
#define LOAM_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What must hold whatever the input: a violation ends the process, as a sanitizer's finding does.
#define fuzz_require(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) fuzz_violated(__FILE__, __LINE__, #condition);                                     \
    } while (0)
_Noreturn void fuzz_violated(const char *file, int line, const char *condition);

// A parser that fails says so in one line.
void fuzz_require_message(enum loam_status status, const struct loam_error *error);

// The process' own directory in memory (or under TMPDIR), removed at exit.
const char *fuzz_directory(void);
// Writes DIRECTORY/NAME and gives its path, which holds until the next call.
const char *fuzz_write(const char *name, const void *data, size_t size);
void fuzz_remove(const char *name);

// An input for several files: the parts stand between 0xFF bytes, which are no UTF-8. The last of `count`
// parts is all that is left.
struct fuzz_part {
    const uint8_t *data;
    size_t size;
};
struct fuzz_part fuzz_next_part(struct fuzz_part *rest, int last);

#endif
