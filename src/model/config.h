// The numbers of a model, read from config.json by the family's row.
#ifndef LOAM_MODEL_CONFIG_H
#define LOAM_MODEL_CONFIG_H

#include <jansson.h>

#include "base/log.h"
#include "model/family.h"

enum loam_rope_scaling {
    LOAM_ROPE_DEFAULT,
    LOAM_ROPE_LINEAR,
    LOAM_ROPE_DYNAMIC,
    LOAM_ROPE_LLAMA3,
    LOAM_ROPE_YARN,
    LOAM_ROPE_LONGROPE,
};

enum {
    LOAM_CONFIG_DROPOUTS = 4,   // of a family's keys at most
    LOAM_CONFIG_NOTICES = 1024, // bytes
    LOAM_CONFIG_LIST = 512,     // elements of an array
};

// An array of config.json.
struct loam_config_list {
    int count;
    int32_t items[LOAM_CONFIG_LIST];
};

enum { LOAM_ROPE_FACTORS = 256 }; // of LongRoPE, at most: one for each frequency

struct loam_rope {
    double theta;
    enum loam_rope_scaling scaling;
    int64_t rotated; // R: the first elements of a head, which turn; even
    double factor;
    double attention_factor; // of cosine and sine
    double low_freq_factor;
    double high_freq_factor;
    double beta_fast; // YaRN
    double beta_slow;
    bool exact_range; // YaRN: the bounds of its ramp are not rounded to whole dimensions
    int64_t original_positions;
    // Queries are scaled by 1 + query_beta log(1 + floor(position / original_positions)); 0: they are not.
    double query_beta;
    float short_factors[LOAM_ROPE_FACTORS]; // LongRoPE, [R/2]: up to the original positions
    float long_factors[LOAM_ROPE_FACTORS];  // beyond
};

// A number that follows from others where config.json leaves it out.
#define LOAM_CONFIG_DERIVED INT64_MIN

struct loam_multimodal;

struct loam_config {
    const struct loam_family *family;
    const struct loam_multimodal *multimodal; // the model that this one is the text part of; NULL: none
    int64_t hidden;                           // H
    int64_t layers;                           // L
    int64_t heads;                            // Q
    int64_t kv_heads;                         // G; Q unless queries are grouped
    int64_t head_dim;                         // D
    int64_t inner;                            // F, inner size of the MLP
    int64_t vocabulary;                       // V, rows of the embedding
    int64_t max_positions;                    // longest sequence in training; 0: not given
    double norm_eps;
    double initializer_range;
    enum loam_activation activation;
    bool tied_head;
    bool attention_bias; // families whose projections may have biases
    bool mlp_bias;
    double embedding_factor;
    double attention_factor;  // of the scores, before the soft-cap; 0: 1 / sqrt(D)
    double attention_softcap; // scores are cap tanh(score / cap); 0: they are as they are
    double logit_factor;
    double logit_softcap;                      // 0: none
    double rotary_fraction;                    // of a head, that RoPE turns
    struct loam_rope ropes[LOAM_CONFIG_ROPES]; // [family->rope_count]
    struct loam_config_list layer_kinds;       // of family->kinds, one a layer; empty: all of the first
    int64_t window;                            // tokens that a query of a windowed layer sees
    double residual_factor;                    // of branches that have one
    double dropouts[LOAM_CONFIG_DROPOUTS];     // of family->dropouts
    char notices[LOAM_CONFIG_NOTICES];         // lines on keys whose reading a user may not expect
};

// Reads and checks DIR/config.json (or the file itself). Unknown architectures and values that the family
// does not support are refused by name.
enum loam_status loam_config_load(struct loam_config *config, const char *directory_or_file,
                                  struct loam_error *error);
// `name` is how messages call the document.
enum loam_status loam_config_parse(struct loam_config *config, const json_t *root, const char *name,
                                   struct loam_error *error);
// As the config of a family, whatever its "model_type".
enum loam_status loam_config_parse_as(struct loam_config *config, const struct loam_family *family,
                                      const json_t *root, const char *name, struct loam_error *error);

// Logs the notices, as warnings.
void loam_config_log(const struct loam_config *config, const struct loam_log *log);

// Most tokens of a sequence: max_positions, or INT32_MAX where it is not given or positions have no limit
// (ALiBi takes any distance).
int64_t loam_config_position_limit(const struct loam_config *config);

// Whether this model has the tensors of a row.
bool loam_config_has_row(const struct loam_config *config, const struct loam_weight_row *row);
// The size of a row's dimension; 1 for LOAM_DIM_NONE.
int64_t loam_config_dimension(const struct loam_config *config, enum loam_dimension dimension);

// The kind of a layer, and its window: the most tokens that a query sees; 0: all before it.
const struct loam_layer_kind *loam_config_layer_kind(const struct loam_config *config, int64_t layer);
int64_t loam_config_kind_window(const struct loam_config *config, const struct loam_layer_kind *kind);
int64_t loam_config_layer_window(const struct loam_config *config, int64_t layer);
// The factor of what a branch adds to the stream.
float loam_config_branch_factor(const struct loam_config *config, const struct loam_branch *branch);

// frequencies[i], i < R/2: theta^(-2i/R) of a table, with the table's scaling, for a sequence of `length`
// tokens. Only dynamic scaling and LongRoPE depend on the length.
void loam_config_rope_frequencies(const struct loam_config *config, int table, int64_t length,
                                  float *frequencies);
bool loam_config_rope_depends_on_length(const struct loam_config *config, int table);
// Factor of the attention scores.
float loam_config_attention_scale(const struct loam_config *config);
// Rows of the learned positions.
int64_t loam_config_position_rows(const struct loam_config *config);
// slopes[h], h < Q, of ALiBi (Press et al. 2022) as BLOOM computes them for head counts that are no power of
// two.
void loam_config_alibi_slopes(const struct loam_config *config, float *slopes);

#endif
