// TensorBoard event files, as `tensorboard --logdir` reads them, with the tags of transformers' Trainer.
//
// The file is a sequence of TFRecords (length, its masked CRC-32C, data, its masked CRC-32C), and each
// record's data is an Event of TensorFlow's event.proto in protobuf's encoding.
#ifndef LOAM_RUN_TENSORBOARD_H
#define LOAM_RUN_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "run/metrics.h"

// A zeroed struct has no file, and writing to it does nothing. A record that cannot be written stays in
// memory and is tried again (io/journal.h).
struct loam_tensorboard {
    struct loam_journal journal;
};

// Makes the directory if it does not exist, and in it a file with a unique name.
enum loam_status loam_tensorboard_open(struct loam_tensorboard *board, const char *directory,
                                       struct loam_error *error);
// Opens the file `name` to continue it, and cuts it to its first `bytes`. If it is missing or shorter,
// `board` stays closed.
enum loam_status loam_tensorboard_reopen(struct loam_tensorboard *board, const char *directory,
                                         const char *name, int64_t bytes, struct loam_error *error);
void loam_tensorboard_close(struct loam_tensorboard *board);

bool loam_tensorboard_is_open(const struct loam_tensorboard *board);

// Writes one event with a scalar for each finite metric, at most LOAM_TENSORBOARD_SCALARS. The tag of
// "eval_NAME" is "eval/NAME"; that of any other NAME is "train/NAME". The metric "step" is left out.
enum { LOAM_TENSORBOARD_SCALARS = 16 };
enum loam_status loam_tensorboard_scalars(struct loam_tensorboard *board, const struct loam_metric *metrics,
                                          size_t count, int64_t step, struct loam_error *error);
// Writes one event with a Markdown text for TensorBoard's text page.
enum loam_status loam_tensorboard_text(struct loam_tensorboard *board, const char *tag, const char *text,
                                       size_t size, struct loam_error *error);

// Returns the CRC-32C (Castagnoli) as TFRecords store it: rotated right by 15 bits, plus a constant.
uint32_t loam_tensorboard_masked_crc(const void *data, size_t size);

#endif
