// A text on its way to the model: rewritten, and cut into pieces, step by step, while every byte remembers
// which bytes of the original text it came from.
#ifndef LOAM_TEXT_PIECES_H
#define LOAM_TEXT_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct loam_origin {
    uint32_t start; // byte span in the original text
    uint32_t end;
};

struct loam_piece {
    size_t start; // byte span in the present text
    size_t end;
    int32_t token; // -1: still to be encoded; else an added token, and no step touches it any more
};

struct loam_origins_text {
    char *bytes;                 // [size]
    struct loam_origin *origins; // [size]
    size_t size;
    size_t capacity;
};

struct loam_piece_list {
    struct loam_piece *items; // [count]
    size_t count;
    size_t capacity;
};

struct loam_pieces {
    struct loam_origins_text text;
    struct loam_piece_list list;
    // What the running step makes of them; takes their place when it is done.
    struct loam_origins_text next_text;
    struct loam_piece_list next_list;
    size_t limit;   // bytes that a rewritten text may have
    bool continues; // the text goes on from another: no step puts anything in front of it
};

// One piece that is all of `text` (valid UTF-8, less than 2 GiB).
enum loam_status loam_pieces_init(struct loam_pieces *pieces, const char *text, size_t size,
                                  struct loam_error *error);
void loam_pieces_deinit(struct loam_pieces *pieces);

// For a step that rewrites: append to the next text with one origin for all of the bytes,
// or as the present text has it.
enum loam_status loam_pieces_put(struct loam_pieces *pieces, const char *bytes, size_t size,
                                 struct loam_origin origin, struct loam_error *error);
enum loam_status loam_pieces_keep(struct loam_pieces *pieces, size_t start, size_t end,
                                  struct loam_error *error);

// For any step: append a piece to the next list; an empty one is left out.
enum loam_status loam_pieces_push(struct loam_pieces *pieces, size_t start, size_t end, int32_t token,
                                  struct loam_error *error);

// Appends the piece at `index` of the present list, already an added token, to the next list, and its
// text when the step rewrites.
enum loam_status loam_pieces_pass(struct loam_pieces *pieces, size_t index, bool rewrites,
                                  struct loam_error *error);

// Whether the piece that starts at `start` of the present text is the beginning of a text that goes on from
// another.
bool loam_pieces_continues(const struct loam_pieces *pieces, size_t start);

// Ends a step: what it made becomes the present.
void loam_pieces_swap(struct loam_pieces *pieces, bool rewrites);

#endif
