#include "io/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/atomic.h"
#include "io/directory.h"

enum { TURNS = 10, SPARE = 12 };

// Makes `target` and takes its lock. Another command that made it may remove it between the two.
static enum loam_status take_target(struct loam_staging *staging, bool *locked, const struct loam_log *log,
                                    struct loam_error *error)
{
    for (int turn = 0; turn < TURNS; turn++) {
        LOAM_TRY(loam_output_directory_prepare(staging->target, true, &staging->kept, error));
        enum loam_status status = loam_directory_lock(staging->target, &staging->lock, locked, log, error);
        if (status == LOAM_ERROR_EXISTS) staging->kept = strlen(staging->target); // it is the other's
        LOAM_TRY(status);
        if (loam_directory_is_open_as(staging->target, staging->lock)) return LOAM_OK;
        close(staging->lock);
        staging->lock = -1;
    }
    return loam_fail(error, LOAM_ERROR_IO, "the output directory %s was removed each time it was made",
                     staging->target);
}

// Checks that enough descriptors are free to write the result. Otherwise the work would be lost at its end.
static enum loam_status check_descriptors(int any, struct loam_error *error)
{
    int spare[SPARE];
    int count = 0;
    while (count < SPARE && (spare[count] = fcntl(any, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    int reason = errno;
    for (int i = 0; i < count; i++)
        close(spare[i]);
    if (count == SPARE) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_IO,
        "no more than %d files can be opened (%s), and %d are needed: raise the limit (ulimit -n)", count,
        strerror(reason), (int)SPARE);
}

static enum loam_status open_all(struct loam_staging *staging, bool overwrite, const struct loam_log *log,
                                 struct loam_error *error)
{
    bool locked;
    LOAM_TRY(take_target(staging, &locked, log, error));
    LOAM_TRY(check_descriptors(staging->lock, error));
    if (locked) loam_work_directories_clear(staging->target);
    if (!overwrite) LOAM_TRY(loam_output_directory_require_empty(staging->target, error));
    return loam_work_directory_make(staging->target, &staging->directory, error);
}

enum loam_status loam_staging_open(struct loam_staging *staging, const char *target, bool overwrite,
                                   const struct loam_log *log, struct loam_error *error)
{
    *staging = (struct loam_staging){.target = loam_strdup(target, error), .lock = -1};
    if (staging->target == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_all(staging, overwrite, log, error);
    if (status != LOAM_OK) loam_staging_close(staging);
    return status;
}

enum loam_status loam_staging_restore(struct loam_staging *staging, struct loam_error *error)
{
    if (staging->directory == NULL)
        return loam_work_directory_make(staging->target, &staging->directory, error);
    return loam_work_directory_restore(staging->directory, error);
}

static void drop_directory(struct loam_staging *staging)
{
    if (staging->directory != NULL) loam_directory_remove(staging->directory);
    free(staging->directory);
    staging->directory = NULL;
}

// Neither the directory itself nor its mark.
static bool is_made(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, LOAM_WORK_MARK) != 0;
}

// The stages of a commit. Making directories, which can fail for lack of memory or room, comes before the
// renames of files.
enum stage { CHECK, MOVE_DIRECTORIES, MOVE_FILES, STAGES };

// One move between two open directories.
struct move {
    enum stage stage;
    DIR *from;
    int to;             // -1: it is not there yet
    const char *target; // for messages
    const char *within; // the directory in the target, for messages; NULL: the target itself
};

static enum loam_status fail_move(const struct move *move, const char *name, int reason,
                                  struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s/%s%s%s: %s", move->target,
                     move->within == NULL ? "" : move->within, move->within == NULL ? "" : "/", name,
                     strerror(reason));
}

// What the system would say if a file were renamed to that name; 0: nothing. It lets a file be renamed where
// a directory can be written, but not in the place of a directory, of a file that is immutable (chattr +i,
// +a), or of one of another user where the directory has the sticky bit.
static int find_obstacle(int directory, const char *name)
{
    struct stat parent;
    struct statx about;
    if (statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_UID, &about) != 0) return 0;
    if (S_ISDIR(about.stx_mode)) return EISDIR;
    if (about.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) return EPERM;
    uid_t user = geteuid();
    bool keeps = user != 0 && fstat(directory, &parent) == 0 && (parent.st_mode & S_ISVTX) != 0 &&
                 parent.st_uid != user && about.stx_uid != user;
    return keeps ? EPERM : 0;
}

static enum loam_status move_file(const struct move *move, const char *name, struct loam_error *error)
{
    int reason = 0;
    if (move->stage != CHECK)
        reason = renameat(dirfd(move->from), name, move->to, name) == 0 ? 0 : errno;
    else if (move->to >= 0)
        reason = find_obstacle(move->to, name);
    return reason == 0 ? LOAM_OK : fail_move(move, name, reason, error);
}

static enum loam_status move_all(const struct move *move, const char *last, struct loam_error *error);

// Opens the target's directory of that name and makes it where needed. -1 and errno on failure.
static int open_target(const struct move *move, const char *name)
{
    if (move->to < 0) {
        errno = ENOENT;
        return -1;
    }
    if (move->stage != CHECK && mkdirat(move->to, name, 0777) != 0 && errno != EEXIST) return -1;
    return openat(move->to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static enum loam_status move_directory(const struct move *move, const char *name, struct loam_error *error)
{
    int to = open_target(move, name);
    if (to < 0 && !(errno == ENOENT && move->stage == CHECK)) return fail_move(move, name, errno, error);
    int descriptor = openat(dirfd(move->from), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *from = descriptor < 0 ? NULL : fdopendir(descriptor);
    enum loam_status status = LOAM_OK;
    if (from == NULL) {
        status = fail_move(move, name, errno, error);
        if (descriptor >= 0) close(descriptor);
    } else {
        status = move_all(&(struct move){move->stage, from, to, move->target, name}, NULL, error);
        closedir(from);
    }
    if (to >= 0) close(to);
    return status;
}

static enum loam_status move_entry(const struct move *move, const char *name, struct loam_error *error)
{
    struct stat about;
    bool deep = move->within != NULL;
    if (fstatat(dirfd(move->from), name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_move(move, name, errno, error);
    if (S_ISDIR(about.st_mode))
        return deep                        ? fail_move(move, name, ENOTSUP, error)
               : move->stage == MOVE_FILES ? LOAM_OK
                                           : move_directory(move, name, error);
    return !deep && move->stage == MOVE_DIRECTORIES ? LOAM_OK : move_file(move, name, error);
}

static enum loam_status move_all(const struct move *move, const char *last, struct loam_error *error)
{
    rewinddir(move->from);
    for (const struct dirent *entry; (entry = readdir(move->from)) != NULL;)
        if (is_made(entry->d_name) && (last == NULL || strcmp(entry->d_name, last) != 0))
            LOAM_TRY(move_entry(move, entry->d_name, error));
    return last == NULL ? LOAM_OK : move_entry(move, last, error);
}

// Goes through the stages before `end`.
static enum loam_status run_stages(const struct loam_staging *staging, const char *last, enum stage end,
                                   struct loam_error *error)
{
    struct move move = {.from = opendir(staging->directory), .to = -1, .target = staging->target};
    if (move.from != NULL) move.to = open(staging->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum loam_status status = LOAM_OK;
    if (move.to < 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s",
                           move.from == NULL ? staging->directory : staging->target, strerror(errno));
    for (; status == LOAM_OK && move.stage < end; move.stage++)
        status = move_all(&move, last, error);
    // Some file systems cannot sync a directory; the renames stand all the same.
    if (status == LOAM_OK && end == STAGES) (void)fsync(move.to);
    if (move.to >= 0) close(move.to);
    if (move.from != NULL) closedir(move.from);
    return status;
}

enum loam_status loam_staging_commit(struct loam_staging *staging, const char *last, struct loam_error *error)
{
    LOAM_TRY(run_stages(staging, last, STAGES, error));
    drop_directory(staging);
    return LOAM_OK;
}

enum loam_status loam_staging_check(const struct loam_staging *staging, const char *last,
                                    struct loam_error *error)
{
    return run_stages(staging, last, CHECK + 1, error);
}

// Removes the directories that were made, from the innermost on. The system refuses it when something is in
// one.
static void remove_made(struct loam_staging *staging)
{
    size_t size = strlen(staging->target);
    while (size > staging->kept) {
        staging->target[size] = '\0';
        (void)rmdir(staging->target);
        while (size > staging->kept && staging->target[size - 1] == '/')
            size--;
        while (size > staging->kept && staging->target[size - 1] != '/')
            size--;
        while (size > staging->kept && staging->target[size - 1] == '/')
            size--;
    }
}

void loam_staging_close(struct loam_staging *staging)
{
    drop_directory(staging);
    if (staging->target != NULL) {
        remove_made(staging);
        if (staging->lock >= 0) close(staging->lock);
    }
    free(staging->target);
    *staging = (struct loam_staging){.lock = -1};
}
