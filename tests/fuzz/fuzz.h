// Helpers of the fuzz targets: files for parsers that read files.
//
// A target is one function that takes any bytes and must not crash, leak, or take long. libFuzzer calls it
// (scripts/fuzz), and replay.c calls it with the corpus in every test run.
#ifndef LOAM_TESTS_FUZZ_FUZZ_H
#define LOAM_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A condition that must hold for every input. A violation ends the process, like a sanitizer's finding.
#define fuzz_require(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) fuzz_violated(__FILE__, __LINE__, #condition);                                     \
    } while (0)
_Noreturn void fuzz_violated(const char *file, int line, const char *condition);

// Checks that the message of a failure is one line.
void fuzz_require_message(enum loam_status status, const struct loam_error *error);

// A directory of the process in memory (or under TMPDIR), removed at exit.
const char *fuzz_directory(void);
// Writes DIRECTORY/NAME and returns its path, which is valid until the next call.
const char *fuzz_write(const char *name, const void *data, size_t size);
void fuzz_remove(const char *name);

// Splits an input for several files at its 0xFF bytes, which are not UTF-8. The last of the `count` parts
// is the rest of the input.
struct fuzz_part {
    const uint8_t *data;
    size_t size;
};
struct fuzz_part fuzz_next_part(struct fuzz_part *rest, int last);

#endif
