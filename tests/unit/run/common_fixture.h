// A model directory for training in tests: a tiny BLOOM or Llama with random weights, a byte-level tokenizer
// without merges, and files of examples.
#ifndef LOAM_TESTS_RUN_COMMON_FIXTURE_H
#define LOAM_TESTS_RUN_COMMON_FIXTURE_H

#include "run/settings.h"

enum { FIXTURE_MAX_EVENTS = 512, FIXTURE_LOG_SIZE = 8192 };

struct fixture {
    char directory[256]; // holds all files; removed after the test
    char model[300];
    char jsonl[300];            // 5 lines of "text", of unequal lengths
    char squad[300];            // 4 questions, one of them unanswerable
    const char *jsonl_files[1]; // the paths again, for lists of files
    const char *squad_files[1];
    char out[300];                                // does not exist yet
    char adapter[300];                            // does not exist yet
    struct loam_callbacks callbacks;              // fill the fields below
    struct loam_event events[FIXTURE_MAX_EVENTS]; // events other than progress
    size_t event_count;
    struct loam_event progress[FIXTURE_MAX_EVENTS];
    size_t progress_count;
    size_t stop_at;             // number of the progress event that asks to stop, from 1; 0: none
    char log[FIXTURE_LOG_SIZE]; // lines
};

// A list of the one file whose path is in an array of the fixture.
#define FIXTURE_LIST(files) ((struct loam_text_list){.items = (const char **)(uintptr_t)(files), .count = 1})
// A list of one file for the enclosing block.
#define FIXTURE_FILE(path) FIXTURE_LIST(((const char *[]){path}))

void fixture_make(struct fixture *fixture, const char *family);
void fixture_remove(struct fixture *fixture);
// Returns a cmocka test that makes a tiny BLOOM in `*fixture` before it runs and removes it afterwards.
#define fixture_test(function, fixture)                                                                      \
    ((struct CMUnitTest){#function, function, fixture_setup, fixture_teardown, fixture})
int fixture_setup(void **state);
int fixture_teardown(void **state);
// Clears events, log and stop_at.
void fixture_clear(struct fixture *fixture);
void fixture_write(const struct fixture *fixture, const char *name, const char *text, char path[300]);
// Returns the whole file as a string, released with free(); NULL if it does not exist.
char *fixture_read(const char *directory, const char *name, size_t *size);
bool fixture_has(const char *directory, const char *name);
// Returns whether both directories have that file, with the same bytes.
bool fixture_same_file(const char *a, const char *b, const char *name);

// Returns default settings: JSONL data, output in `out`, the reference device.
struct loam_train_settings fixture_settings(const struct fixture *fixture);

#endif
