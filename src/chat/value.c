#include "chat/value.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"

double chat_number(struct chat_value value)
{
    return value.kind == CHAT_FLOAT ? value.as.real : (double)chat_integer(value);
}

const char *chat_type_name(struct chat_value value)
{
    static const char *const names[] = {
        [CHAT_MISSING] = "missing",
        [CHAT_UNDEFINED] = "Undefined",
        [CHAT_NONE] = "NoneType",
        [CHAT_BOOL] = "bool",
        [CHAT_INT] = "int",
        [CHAT_FLOAT] = "float",
        [CHAT_STRING] = "str",
        [CHAT_LIST] = "list",
        [CHAT_TUPLE] = "tuple",
        [CHAT_DICT] = "dict",
        [CHAT_RANGE] = "range",
        [CHAT_VIEW] = "dict_items",
        [CHAT_ITERATOR] = "generator",
        [CHAT_NAMESPACE] = "Namespace",
        [CHAT_LOOP] = "LoopContext",
        [CHAT_MACRO] = "Macro",
        [CHAT_METHOD] = "method",
        [CHAT_FUNCTION] = "function",
        [CHAT_CYCLER] = "Cycler",
        [CHAT_JOINER] = "Joiner",
    };
    static const char *const views[] = {
        [CHAT_KEYS] = "dict_keys", [CHAT_VALUES] = "dict_values", [CHAT_ITEMS] = "dict_items"};
    if (value.kind == CHAT_VIEW) return views[value.as.view->what];
    return value.kind == CHAT_STRING && value.markup ? "Markup" : names[value.kind];
}

int64_t chat_length(struct chat_value value)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_UNDEFINED:
        return 0;
    case CHAT_STRING:
        return value.as.string->length;
    case CHAT_LIST:
    case CHAT_TUPLE:
        return (int64_t)value.as.list->count;
    case CHAT_DICT:
        return (int64_t)value.as.dict->count;
    case CHAT_VIEW:
        return (int64_t)value.as.view->dict->count;
    case CHAT_RANGE:
        return value.as.range->count;
    default:
        return -1;
    }
}

bool chat_is_true(struct chat_value value)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_MISSING:
    case CHAT_UNDEFINED:
    case CHAT_NONE:
        return false;
    case CHAT_BOOL:
    case CHAT_INT:
        return chat_integer(value) != 0;
    case CHAT_FLOAT:
        return value.as.real != 0;
    default:
        return chat_length(value) != 0; // what has no length is true
    }
}

// ---- Comparison ----

bool chat_string_equals(const struct chat_string *left, const struct chat_string *right)
{
    return left == right || (left->size == right->size && left->hash == right->hash &&
                             memcmp(left->data, right->data, left->size) == 0);
}

static bool equals(struct chat_value left, struct chat_value right, int depth, size_t *steps);

static bool equals_list(const struct chat_list *left, const struct chat_list *right, int depth, size_t *steps)
{
    if (left == right) return true;
    if (left->count != right->count) return false;
    for (size_t i = 0; i < left->count; i++)
        if (!equals(left->items[i], right->items[i], depth, steps)) return false;
    return true;
}

static bool equals_dict(const struct chat_dict *left, const struct chat_dict *right, int depth, size_t *steps)
{
    if (left == right) return true;
    if (left->count != right->count) return false;
    for (size_t i = 0; i < left->count; i++) {
        const struct chat_value *value = chat_dict_get(right, left->entries[i].key);
        if (value == NULL || !equals(left->entries[i].value, *value, depth, steps)) return false;
    }
    return true;
}

static bool equals_range(const struct chat_range *left, const struct chat_range *right)
{
    return left->count == right->count &&
           (left->count == 0 ||
            (left->start == right->start && (left->count == 1 || left->step == right->step)));
}

// Compares an integer with a double without rounding the integer.
static int order_mixed(int64_t integer, double real)
{
    if (isnan(real)) return CHAT_NOT_A_NUMBER;
    if (real >= 0x1p63) return -1;
    if (real < -0x1p63) return 1;
    int64_t whole = (int64_t)real;
    if (integer != whole) return integer < whole ? -1 : 1;
    double rest = real - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int order_number(struct chat_value left, struct chat_value right)
{
    if (chat_is_integer(left) && chat_is_integer(right)) {
        int64_t a = chat_integer(left), b = chat_integer(right);
        return a < b ? -1 : a > b;
    }
    if (chat_is_integer(left)) return order_mixed(chat_integer(left), right.as.real);
    if (chat_is_integer(right)) {
        int order = order_mixed(chat_integer(right), left.as.real);
        return order == CHAT_NOT_A_NUMBER ? order : -order;
    }
    double a = left.as.real, b = right.as.real;
    if (isnan(a) || isnan(b)) return CHAT_NOT_A_NUMBER;
    return a < b ? -1 : a > b;
}

static bool equals(struct chat_value left, struct chat_value right, int depth, size_t *steps)
{
    if (depth == 0 || *steps == 0) return false;
    --*steps;
    if (chat_is_number(left) && chat_is_number(right)) return order_number(left, right) == 0;
    if (left.kind != right.kind) return false;
    switch ((enum chat_kind)left.kind) {
    case CHAT_UNDEFINED:
    case CHAT_NONE:
        return true;
    case CHAT_STRING:
        return chat_string_equals(left.as.string, right.as.string);
    case CHAT_LIST:
    case CHAT_TUPLE:
        return equals_list(left.as.list, right.as.list, depth - 1, steps);
    case CHAT_DICT:
        return equals_dict(left.as.dict, right.as.dict, depth - 1, steps);
    case CHAT_RANGE:
        return equals_range(left.as.range, right.as.range);
    case CHAT_VIEW: // Python compares values() by identity
        return left.as.view->what == right.as.view->what && left.as.view->dict == right.as.view->dict;
    default:
        return left.as.macro == right.as.macro; // the same object
    }
}

bool chat_equals(struct chat_value left, struct chat_value right, size_t *steps)
{
    return equals(left, right, CHAT_VALUE_DEPTH, steps);
}

bool chat_is_same(struct chat_value left, struct chat_value right)
{
    if (left.kind != right.kind) return false;
    switch ((enum chat_kind)left.kind) {
    case CHAT_NONE:
        return true;
    case CHAT_BOOL:
        return left.as.truth == right.as.truth;
    case CHAT_INT: // Python shares small integers
        return left.as.integer == right.as.integer && left.as.integer >= -5 && left.as.integer <= 256;
    case CHAT_FLOAT:
        return false;
    default:
        return left.as.macro == right.as.macro;
    }
}

static int order(struct chat_value left, struct chat_value right, int depth, size_t *steps);

static int order_string(const struct chat_string *left, const struct chat_string *right)
{
    size_t common = left->size < right->size ? left->size : right->size;
    int result = memcmp(left->data, right->data, common); // UTF-8 has the order of the code points
    if (result != 0) return result < 0 ? -1 : 1;
    return left->size < right->size ? -1 : left->size > right->size;
}

static int order_list(const struct chat_list *left, const struct chat_list *right, int depth, size_t *steps)
{
    for (size_t i = 0; i < left->count && i < right->count; i++)
        if (!equals(left->items[i], right->items[i], depth, steps))
            return order(left->items[i], right->items[i], depth, steps);
    return left->count < right->count ? -1 : left->count > right->count;
}

static int order(struct chat_value left, struct chat_value right, int depth, size_t *steps)
{
    if (chat_is_number(left) && chat_is_number(right)) return order_number(left, right);
    if (left.kind != right.kind || depth == 0) return CHAT_NO_ORDER;
    if (left.kind == CHAT_STRING) return order_string(left.as.string, right.as.string);
    if (chat_is_list(left)) return order_list(left.as.list, right.as.list, depth - 1, steps);
    return CHAT_NO_ORDER;
}

int chat_order(struct chat_value left, struct chat_value right, size_t *steps)
{
    return order(left, right, CHAT_VALUE_DEPTH, steps);
}

// ---- Hashes and dicts ----

enum { HASHED_ITEMS = 8, HASHED_LEVELS = 4, KEY_PARTS = 10000 }; // of a tuple

static uint32_t hash_number(double number) // equal numbers of different types have equal hashes
{
    if (number == 0) number = 0; // -0.0
    return loam_hash_bytes((const char *)&number, sizeof number);
}

static bool hash_value(struct chat_value value, uint32_t *hash, int depth)
{
    if (chat_is_number(value)) {
        *hash = hash_number(chat_number(value));
        return true;
    }
    switch ((enum chat_kind)value.kind) {
    case CHAT_STRING:
        *hash = value.as.string->hash;
        return true;
    case CHAT_LIST:
    case CHAT_DICT:
    case CHAT_VIEW:
        return false;
    case CHAT_TUPLE: // a few elements and levels suffice for a hash
        *hash = 1;
        for (size_t i = 0; i < value.as.list->count && i < HASHED_ITEMS; i++) {
            uint32_t part = 0;
            if (depth > 0 && !hash_value(value.as.list->items[i], &part, depth - 1)) return false;
            *hash = *hash * 31 + part;
        }
        return true;
    default:
        *hash = value.kind;
        return true;
    }
}

bool chat_hash(struct chat_value value, uint32_t *hash)
{
    return hash_value(value, hash, HASHED_LEVELS);
}

struct chat_dict *chat_dict_create(struct chat_pool *pool, struct loam_error *error)
{
    return chat_pool_take(pool, 1, sizeof(struct chat_dict), error);
}

// Compares keys. A tuple with more parts than a dict compares is a different key.
static bool equals_key(struct chat_value left, struct chat_value right)
{
    size_t steps = KEY_PARTS;
    return equals(left, right, CHAT_VALUE_DEPTH, &steps);
}

static struct chat_entry *find_entry(const struct chat_dict *dict, struct chat_value key, uint32_t hash)
{
    if (dict->places == NULL) {
        for (size_t i = 0; i < dict->count; i++)
            if (dict->entries[i].hash == hash && equals_key(dict->entries[i].key, key))
                return &dict->entries[i];
        return NULL;
    }
    for (size_t at = hash & (dict->place_count - 1); dict->places[at] != 0;
         at = (at + 1) & (dict->place_count - 1)) {
        struct chat_entry *entry = &dict->entries[dict->places[at] - 1];
        if (entry->hash == hash && equals_key(entry->key, key)) return entry;
    }
    return NULL;
}

const struct chat_value *chat_dict_get(const struct chat_dict *dict, struct chat_value key)
{
    uint32_t hash;
    if (!chat_hash(key, &hash)) return NULL;
    const struct chat_entry *entry = find_entry(dict, key, hash);
    return entry == NULL ? NULL : &entry->value;
}

static void set_place(struct chat_dict *dict, size_t index)
{
    size_t at = dict->entries[index].hash & (dict->place_count - 1);
    while (dict->places[at] != 0)
        at = (at + 1) & (dict->place_count - 1);
    dict->places[at] = (uint32_t)index + 1;
}

static enum loam_status grow_dict(struct chat_dict *dict, struct chat_pool *pool, struct loam_error *error)
{
    enum { SMALL = 8 }; // entries that are searched one by one
    size_t capacity = dict->capacity == 0 ? SMALL : dict->capacity * 2;
    struct chat_entry *entries = chat_pool_take(pool, capacity, sizeof *entries, error);
    if (entries == NULL) return loam_failure(error);
    if (dict->count > 0) memcpy(entries, dict->entries, dict->count * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    if (capacity == SMALL) return LOAM_OK;
    dict->place_count = capacity * 2;
    dict->places = chat_pool_take(pool, dict->place_count, sizeof *dict->places, error);
    if (dict->places == NULL) return loam_failure(error);
    for (size_t i = 0; i < dict->count; i++)
        set_place(dict, i);
    return LOAM_OK;
}

enum loam_status chat_dict_put(struct chat_dict *dict, struct chat_pool *pool, struct chat_value key,
                               struct chat_value value, struct loam_error *error)
{
    uint32_t hash;
    if (!chat_hash(key, &hash))
        return loam_fail(error, LOAM_ERROR_FORMAT, "unhashable type: '%s'", chat_type_name(key));
    struct chat_entry *entry = find_entry(dict, key, hash);
    if (entry != NULL) {
        entry->value = value;
        return LOAM_OK;
    }
    if (dict->count == dict->capacity) LOAM_TRY(grow_dict(dict, pool, error));
    dict->entries[dict->count] = (struct chat_entry){key, value, hash};
    dict->count++;
    if (dict->places != NULL) set_place(dict, dict->count - 1);
    return LOAM_OK;
}

// ---- Lists ----

enum loam_status chat_list_create(struct chat_value *list, enum chat_kind kind, size_t count,
                                  struct chat_value **items, struct chat_pool *pool, struct loam_error *error)
{
    struct chat_list *made = chat_pool_take(pool, 1, sizeof *made, error);
    if (made == NULL) return loam_failure(error);
    made->count = count;
    made->items = chat_pool_take(pool, count, sizeof *made->items, error);
    if (made->items == NULL) return loam_failure(error);
    *list = (struct chat_value){.kind = (uint8_t)kind, .as.list = made};
    *items = made->items;
    return LOAM_OK;
}

enum loam_status chat_items_push(struct chat_items *items, struct chat_value value, struct chat_pool *pool,
                                 struct loam_error *error)
{
    if (items->count == items->capacity) {
        size_t capacity = items->capacity == 0 ? 8 : items->capacity * 2;
        struct chat_value *grown = chat_pool_take(pool, capacity, sizeof *grown, error);
        if (grown == NULL) return loam_failure(error);
        if (items->count > 0) memcpy(grown, items->items, items->count * sizeof *grown);
        items->items = grown;
        items->capacity = capacity;
    }
    items->items[items->count++] = value;
    return LOAM_OK;
}

enum loam_status chat_items_finish(const struct chat_items *items, enum chat_kind kind,
                                   struct chat_value *list, struct chat_pool *pool, struct loam_error *error)
{
    struct chat_list *made = chat_pool_take(pool, 1, sizeof *made, error);
    if (made == NULL) return loam_failure(error);
    *made = (struct chat_list){items->items, items->count};
    *list = (struct chat_value){.kind = (uint8_t)kind, .as.list = made};
    return LOAM_OK;
}
