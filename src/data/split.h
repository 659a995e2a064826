// The examples of a data set of which long records are several (--too-long split).
//
// A text is cut every max_length tokens: the pieces are disjoint and together give all of its tokens. BOS is in the first
// piece alone and EOS in the last, as they are in the text. The last piece has at least two tokens, since the first token
// of an example is not learnt. The ids are kept in a temporary file, so that a long text is encoded once.
//
// A conversation is divided between turns. Each piece has the messages of the system at the start, and the next turns.
#ifndef LOAM_DATA_SPLIT_H
#define LOAM_DATA_SPLIT_H

#include "data/example.h"
#include "data/scratch.h"

struct loam_split {
    size_t record; // index of the record
    size_t first;  // index of its first example
    int32_t pieces;
    bool is_text;
    bool lacks_stop; // of the text
    int32_t count;   // tokens of the text; messages of the conversation
    size_t at;       // of the text's ids in the temporary file; of the conversation's first piece in `starts`
    char id[64];     // of the record
};

// A zeroed struct is valid: every record is one example.
struct loam_splits {
    struct loam_split *items; // [count] the records of several examples, in order
    size_t count, capacity;
    int32_t *starts; // [start_count] index of the first message of each piece, those of the system aside
    size_t start_count, start_capacity;
    size_t extra;     // examples beyond one for each record
    int32_t longest;  // tokens of a piece of a text
    const char *path; // of the first file, for messages; must outlive the splits
    bool has_ids;     // `ids` is open
    struct loam_scratch ids;
};
void loam_splits_deinit(struct loam_splits *splits);

// Adds the next record, a text of more than `longest` tokens. `example` has all of it.
enum loam_status loam_splits_add_text(struct loam_splits *splits, size_t record,
                                      const struct loam_example *example, struct loam_error *error);
// Adds the next record, a conversation of `messages` messages. `starts` [pieces] are the messages at which a piece begins.
enum loam_status loam_splits_add_chat(struct loam_splits *splits, size_t record, const char *id,
                                      const int32_t *starts, int32_t pieces, int32_t messages,
                                      struct loam_error *error);

// Where an example comes from.
struct loam_split_place {
    size_t record;
    const struct loam_split *split; // NULL: the example is the whole record
    int32_t piece;                  // 0-based
};
struct loam_split_place loam_splits_find(const struct loam_splits *splits, size_t example);
// The index of the first example of a record.
size_t loam_splits_first(const struct loam_splits *splits, size_t record);

// Sets the id of `example` to that of a piece: "line 7, piece 2".
void loam_split_name(struct loam_example *example, const struct loam_split_place *place);
// Fills `example` with a piece of a text.
enum loam_status loam_splits_read(const struct loam_splits *splits, const struct loam_split_place *place,
                                  struct loam_example *example, struct loam_error *error);
// The messages [*start, *end) of a piece of a conversation.
void loam_splits_messages(const struct loam_splits *splits, const struct loam_split_place *place,
                          size_t *start, size_t *end);

#endif
