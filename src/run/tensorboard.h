// TensorBoard event files: what `tensorboard --logdir` reads, under the tags of transformers' Trainer.
//
// The file is a sequence of TFRecords (length, its masked CRC-32C, data, its masked CRC-32C), and each
// record's data is an Event of TensorFlow's event.proto in protobuf's encoding.
#ifndef LOAM_RUN_TENSORBOARD_H
#define LOAM_RUN_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "run/metrics.h"

// Zeroed: no file, and what is written goes nowhere. A record that cannot be written is kept (io/journal.h).
struct loam_tensorboard {
    struct loam_journal journal;
};

// Makes the directory, where it is not there, and in it a file of a name that no other run has.
enum loam_status loam_tensorboard_open(struct loam_tensorboard *board, const char *directory,
                                       struct loam_error *error);
// Goes on in the file of that name, of which the first `bytes` are kept. Where it is not there, or shorter,
// `board` stays as it was.
enum loam_status loam_tensorboard_reopen(struct loam_tensorboard *board, const char *directory,
                                         const char *name, int64_t bytes, struct loam_error *error);
void loam_tensorboard_close(struct loam_tensorboard *board);

bool loam_tensorboard_is_open(const struct loam_tensorboard *board);

// One event with a scalar for each metric that is finite but "step": "eval_NAME" under the tag "eval/NAME",
// any other under "train/NAME". At most LOAM_TENSORBOARD_SCALARS.
enum { LOAM_TENSORBOARD_SCALARS = 16 };
enum loam_status loam_tensorboard_scalars(struct loam_tensorboard *board, const struct loam_metric *metrics,
                                          size_t count, int64_t step, struct loam_error *error);
// One event with a text (Markdown) for TensorBoard's text page.
enum loam_status loam_tensorboard_text(struct loam_tensorboard *board, const char *tag, const char *text,
                                       size_t size, struct loam_error *error);

// CRC-32C (Castagnoli) as TFRecords store it: rotated right by 15 bits and shifted by a constant.
uint32_t loam_tensorboard_masked_crc(const void *data, size_t size);

#endif
