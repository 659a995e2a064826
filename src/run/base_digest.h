// The SHA-256 of every byte of the files that a run reads from its model's directory. A separate thread
// computes it during the first steps. A resumed run computes it only if the size, inode or times of a file
// differ from those in the checkpoint.
#ifndef LOAM_RUN_BASE_DIGEST_H
#define LOAM_RUN_BASE_DIGEST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "io/digest.h"

struct loam_base_file {
    char *path;
    int descriptor; // stays open, so that a file that replaces this one is not summed
    int64_t size;
    int64_t modified; // nanoseconds
};

// A zeroed struct is closed.
struct loam_base_digest {
    struct loam_base_file *files; // [count]
    size_t count;
    int64_t size;               // bytes of all files
    struct loam_bytes identity; // a line for each file: name, size, inode, times
    char sum[LOAM_DIGEST_SIZE]; // "": not computed yet
    struct loam_digest digest;
    char *block; // [LOAM_DIGEST_BLOCK]
    pthread_t thread;
    bool running;
    atomic_bool cancelled;
    enum loam_status status; // the thread's result; valid after the join
    struct loam_error error;
};

// Opens the files of configuration and tokenizer. With `weights`, opens the files of the tensors too.
enum loam_status loam_base_digest_open(struct loam_base_digest *base, const char *directory, bool weights,
                                       struct loam_error *error);
void loam_base_digest_close(struct loam_base_digest *base);

// Takes the sum from a checkpoint that recorded the same files.
void loam_base_digest_adopt(struct loam_base_digest *base, const char *sum);
// Starts a thread that computes the sum. If no thread can be started, loam_base_digest_finish computes it.
void loam_base_digest_begin(struct loam_base_digest *base);
// Waits for the sum, or computes it now. After a failure `sum` is "". If a file changed meanwhile, `sum` is a
// text that equals no digest.
enum loam_status loam_base_digest_finish(struct loam_base_digest *base, struct loam_error *error);

#endif
