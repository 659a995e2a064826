// A model directory small enough to be trained in a test: a tiny BLOOM or Llama with random weights, a
// byte-level tokenizer without merges, and files of examples.
#ifndef LOAM_TESTS_RUN_COMMON_FIXTURE_H
#define LOAM_TESTS_RUN_COMMON_FIXTURE_H

#include "run/settings.h"

enum { FIXTURE_MAX_EVENTS = 512, FIXTURE_LOG_SIZE = 8192 };

struct fixture {
    char directory[256]; // everything is in it, and removed with it
    char model[300];
    char jsonl[300];                              // 5 lines of "text", of unequal lengths
    char squad[300];                              // 4 questions, one of them unanswerable
    char out[300];                                // not made yet
    char adapter[300];                            // not made yet
    struct loam_callbacks callbacks;              // collect what comes:
    struct loam_event events[FIXTURE_MAX_EVENTS]; // all but progress
    size_t event_count;
    struct loam_event progress[FIXTURE_MAX_EVENTS];
    size_t progress_count;
    size_t stop_at;             // the progress event, counted from 1, that is answered with "stop"; 0: none
    char log[FIXTURE_LOG_SIZE]; // lines
};

void fixture_make(struct fixture *fixture, const char *family);
void fixture_remove(struct fixture *fixture);
// A test for cmocka's table that has a tiny BLOOM in `*fixture` before it, and after it no more.
#define fixture_test(function, fixture)                                                                      \
    ((struct CMUnitTest){#function, function, fixture_setup, fixture_teardown, fixture})
int fixture_setup(void **state);
int fixture_teardown(void **state);
// Forgets events and log, and stops nothing.
void fixture_clear(struct fixture *fixture);
void fixture_write(const struct fixture *fixture, const char *name, const char *text, char path[300]);
// The whole file as a string, released with free(); NULL when there is none.
char *fixture_read(const char *directory, const char *name, size_t *size);
bool fixture_has(const char *directory, const char *name);
// Whether both directories have that file, with the same bytes.
bool fixture_same_file(const char *a, const char *b, const char *name);

// The options' defaults, on JSONL, to `out`, on the reference device.
struct loam_train_settings fixture_settings(const struct fixture *fixture);

#endif
