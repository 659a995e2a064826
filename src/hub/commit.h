// The commit at the end of a push: one line of JSON for each file.
#ifndef LOAM_HUB_COMMIT_H
#define LOAM_HUB_COMMIT_H

#include "hub/folder.h"
#include "hub/push.h"

// The request's body: a header, and the files that are new or changed. `*files`: how many they are.
enum loam_status loam_commit_format(struct loam_bytes *body, const struct loam_folder *folder,
                                    const char *message, size_t *files, struct loam_error *error);

// Makes the commit, unless nothing has changed.
enum loam_status loam_commit_send(struct loam_hub *hub, const struct loam_repo *repo,
                                  const struct loam_folder *folder, const char *message,
                                  struct loam_pushed *pushed, struct loam_error *error);

#endif
