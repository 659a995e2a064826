// Checks of texts that have a syntax: target modules, repositories, sizes.
#ifndef LOAM_OPTIONS_OPTION_TEXTS_H
#define LOAM_OPTIONS_OPTION_TEXTS_H

#include "base/status.h"

enum loam_status loam_option_check_adapter(const char *text, struct loam_error *error);
enum loam_status loam_option_check_device(const char *text, struct loam_error *error);
enum loam_status loam_option_check_source(const char *text, struct loam_error *error);
enum loam_status loam_option_check_targets(const char *text, struct loam_error *error);
enum loam_status loam_option_check_saved(const char *text, struct loam_error *error);
enum loam_status loam_option_check_layers(const char *text, struct loam_error *error);
enum loam_status loam_option_check_layer_names(const char *text, struct loam_error *error);
enum loam_status loam_option_check_ranks(const char *text, struct loam_error *error);
enum loam_status loam_option_check_tokens(const char *text, struct loam_error *error);
enum loam_status loam_option_check_alphas(const char *text, struct loam_error *error);
enum loam_status loam_option_check_init(const char *text, struct loam_error *error);
enum loam_status loam_option_check_repository(const char *text, struct loam_error *error);
enum loam_status loam_option_check_shard_size(const char *text, struct loam_error *error);

#endif
