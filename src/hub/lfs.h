// Large files to the hub's store.
#ifndef LOAM_HUB_LFS_H
#define LOAM_HUB_LFS_H

#include "hub/folder.h"
#include "hub/hub.h"

// Uploads the objects of all files that go to LFS and are not there yet.
enum loam_status loam_lfs_upload(struct loam_hub *hub, const struct loam_repo *repo,
                                 const struct loam_folder *folder, struct loam_error *error);

#endif
