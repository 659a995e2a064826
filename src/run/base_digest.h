// The SHA-256 of the files that a run takes from its model's directory, every byte of them. A separate thread
// computes it during the first steps. A resumed run computes it only where size, inode or times of a file
// differ from the checkpoint.
#ifndef LOAM_RUN_BASE_DIGEST_H
#define LOAM_RUN_BASE_DIGEST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "io/digest.h"

struct loam_base_file {
    char *path;
    int descriptor; // so that it is the file that was there when the run began
    int64_t size;
    int64_t modified; // nanoseconds
};

// Zeroed: closed.
struct loam_base_digest {
    struct loam_base_file *files; // [count]
    size_t count;
    int64_t size;               // of all of them, bytes
    struct loam_bytes identity; // a line for each file: name, size, inode, times
    char sum[LOAM_DIGEST_SIZE]; // "": not known yet
    struct loam_digest digest;
    char *block; // [LOAM_DIGEST_BLOCK]
    pthread_t thread;
    bool running;
    atomic_bool cancelled;
    enum loam_status status; // of the thread, once it is joined
    struct loam_error error;
};

// Opens the files: configuration and tokenizer, and with `weights` those of the tensors.
enum loam_status loam_base_digest_open(struct loam_base_digest *base, const char *directory, bool weights,
                                       struct loam_error *error);
void loam_base_digest_close(struct loam_base_digest *base);

// Takes the sum from a checkpoint, whose files are the same.
void loam_base_digest_adopt(struct loam_base_digest *base, const char *sum);
// Starts to compute the sum in a thread. Where no thread can be started, loam_base_digest_finish computes it.
void loam_base_digest_begin(struct loam_base_digest *base);
// Waits for the sum, or computes it now. After a failure it is "". Where a file changed meanwhile, it is a
// text that equals no sum.
enum loam_status loam_base_digest_finish(struct loam_base_digest *base, struct loam_error *error);

#endif
