// What the files that read config.json share.
#ifndef LOAM_MODEL_CONFIG_PARTS_H
#define LOAM_MODEL_CONFIG_PARTS_H

#include "model/config.h"

enum { LOAM_CONFIG_TEXT = 128 }; // bytes of a value as text

bool loam_config_is_given(const json_t *object, const char *key); // there, and not null
// A value as text, to compare and to show; what is in an array or object is left out.
void loam_config_value_text(const json_t *value, char text[LOAM_CONFIG_TEXT]);

// Adds a line to config->notices.
void loam_config_tell(struct loam_config *config, const char *format, ...) LOAM_PRINTF(2, 3);
// Adds a line where `value`, which is used, differs from `other`, another spelling of the same key. NULL and
// null: there is no other.
void loam_config_tell_other(struct loam_config *config, const char *label, const json_t *value,
                            const char *other_label, const json_t *other);

enum loam_status loam_config_read_rope(struct loam_config *config, const json_t *root, const char *name,
                                       struct loam_error *error);

// The "text_config" of a whole config.json as a document of its own, to be released with json_decref(): with
// the model_type that it has, without keys that describe the whole. `name` is how messages call the file.
enum loam_status loam_config_text_part(const struct loam_multimodal *multimodal, const json_t *root,
                                       const char *name, json_t **text, struct loam_error *error);
// Reads what the whole has its own way, after its text part.
enum loam_status loam_config_complete_text_part(struct loam_config *config, const json_t *root,
                                                const char *name, struct loam_error *error);

#endif
