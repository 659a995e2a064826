// Runs a text through stages that rewrite it and split it into pieces. Each piece goes through all stages
// before the next one is split off, so the pieces of a long text are never all in memory. Every byte that a
// stage makes has an origin: the bytes of the original text that it comes from.
#ifndef LOAM_TEXT_PIECES_H
#define LOAM_TEXT_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "text/pattern.h"

struct loam_origin {
    uint32_t start; // byte span in the original text
    uint32_t end;
};

struct loam_piece {
    size_t start; // byte span in the text that the stage reads
    size_t end;
    int32_t token; // -1: text to encode; else the id of a token, which later stages pass on unchanged
};

// The text that a stage reads: the original, or the output of another stage.
struct loam_source_text {
    const char *bytes;
    const struct loam_origin *origins; // one per byte; NULL: the original text
};
// The origin of byte `at`. In the original text it is the span of its character.
struct loam_origin loam_source_origin(const struct loam_source_text *text, size_t at);

struct loam_made_text {
    char *bytes;                 // [size]
    struct loam_origin *origins; // [size]
    size_t size;
    size_t capacity;
};

struct loam_pieces {
    struct loam_source_text text;
    struct loam_made_text *owner; // storage of `text` if only this stage reads it; else NULL
    struct loam_made_text made;   // output of a stage that rewrites, for the current piece
    size_t limit;                 // most bytes of a rewritten text
    size_t peak_bytes;            // of `owner` and `made` together
    bool continues;               // the text continues an earlier one: no step adds anything before it
};

// For a stage that rewrites. Put appends bytes that share one origin; copy appends bytes [start, end) of the
// text that it reads, with their origins.
enum loam_status loam_pieces_put(struct loam_pieces *pieces, const char *bytes, size_t size,
                                 struct loam_origin origin, struct loam_error *error);
enum loam_status loam_pieces_copy(struct loam_pieces *pieces, size_t start, size_t end,
                                  struct loam_error *error);

// One of an array of stages; each emits its pieces to the next.
struct loam_stage {
    enum loam_status (*run)(struct loam_stage *stage, struct loam_piece piece, struct loam_error *error);
    const void *data; // input of `run`: the step, or the table of tokens
    void *user;
    struct loam_pieces pieces;
    struct loam_matcher matcher;
};

// Runs the stages on `text` (valid UTF-8, less than 2 GiB). An empty text gives no piece.
enum loam_status loam_stages_run(struct loam_stage *stages, size_t count, const char *text, size_t size,
                                 struct loam_error *error);
void loam_stages_deinit(struct loam_stage *stages, size_t count);
size_t loam_stages_bytes(const struct loam_stage *stages, size_t count); // peak of their memory

// For `run`. Emit passes bytes [start, end) of the text that the stage reads to the next stage, emit_made
// all of its output. Empty pieces are left out.
enum loam_status loam_stage_emit(struct loam_stage *stage, size_t start, size_t end, int32_t token,
                                 struct loam_error *error);
enum loam_status loam_stage_emit_made(struct loam_stage *stage, struct loam_error *error);
// For a stage that rewrites, once it has read its text: releases the text if no other stage reads it.
void loam_stage_drop_source(struct loam_stage *stage);
// For a stage that rewrites: whether the piece at `start` begins a text that continues an earlier one.
bool loam_pieces_continues(const struct loam_pieces *pieces, size_t start);

#endif
