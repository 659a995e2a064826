// A directory to a repository of the hub, as one commit.
#ifndef LOAM_HUB_PUSH_H
#define LOAM_HUB_PUSH_H

#include "hub/hub.h"

struct loam_push {
    const char *directory;
    const char *message; // of the commit
    bool private_if_new; // when the repository has to be made
};

struct loam_pushed {
    char *address;                 // of the repository, for a person
    char commit[LOAM_COMMIT_SIZE]; // that has the files; empty: the hub does not say
    size_t files;                  // that were new or changed; 0: all was there, and no commit was made
};

// What can be known before there is anything to push: a token, and leave to use it.
enum loam_status loam_hub_may_push(const struct loam_hub *hub, const struct loam_repo *repo,
                                   struct loam_error *error);

// Makes the repository if it is not there. Files that are there with the same bytes are left alone, so a push
// that failed can simply be made again.
enum loam_status loam_hub_push(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_push *push, struct loam_pushed *pushed,
                               struct loam_error *error);
void loam_pushed_deinit(struct loam_pushed *pushed);

#endif
