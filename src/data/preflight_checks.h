// The checks of preflight: a row each.
#ifndef LOAM_DATA_PREFLIGHT_CHECKS_H
#define LOAM_DATA_PREFLIGHT_CHECKS_H

#include "data/example_text.h"
#include "data/preflight_facts.h"

// A record as it is learnt.
struct loam_preflight_look {
    const struct loam_example *example;
    const struct loam_example_text *text; // of the example
    const struct loam_example *prompt;    // ids of its prompt at generation; count 0: none
};

enum { LOAM_PREFLIGHT_DETAIL = 48 };

// What a check has found.
struct loam_preflight_tally {
    size_t records; // that show it
    size_t looked;
    size_t first;                       // index of the first of them; SIZE_MAX: none
    char detail[LOAM_PREFLIGHT_DETAIL]; // for the message
    int32_t token;                      // for the message: an id, a place or a number of tokens
    size_t others;                      // records of the evaluation data that were looked at
};

struct loam_preflight_check {
    const char *name;
    enum loam_severity severity;
    bool of_weights; // needs a loaded model
    size_t above;    // percent of the records looked at that a finding exceeds
    // Whether a record shows it. `tally`, of the records before it, receives details for the message. NULL: `find` is
    // called once.
    bool (*shows)(const struct loam_preflight_facts *facts, const struct loam_preflight_look *look,
                  struct loam_preflight_tally *tally);
    // Fills `tally`; `records` above 0 is a finding.
    enum loam_status (*find)(const struct loam_preflight_facts *facts, const struct loam_preflight *preflight,
                             struct loam_preflight_tally *tally, struct loam_error *error);
    enum loam_status (*describe)(const struct loam_preflight_facts *facts,
                                 const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                 struct loam_error *error);
};
extern const struct loam_preflight_check loam_preflight_checks[LOAM_PREFLIGHT_CHECKS];

// The records that are looked at: some from the start and, of equal parts of the rest, a random one each. Returns
// the index of sample `i`, below the smaller of `count` and `wanted`.
size_t loam_preflight_sample(size_t count, size_t wanted, size_t i);

// preflight_overlap.c
enum loam_status loam_preflight_find_overlap(const struct loam_preflight_facts *facts,
                                             const struct loam_preflight *preflight,
                                             struct loam_preflight_tally *tally, struct loam_error *error);
// preflight_rows.c
enum loam_status loam_preflight_find_untrained(const struct loam_preflight_facts *facts,
                                               const struct loam_preflight *preflight,
                                               struct loam_preflight_tally *tally, struct loam_error *error);

#endif
