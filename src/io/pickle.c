#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

enum {
    PROTOCOL = 2,
};

enum opcode {
    OP_PROTO = 0x80,
    OP_STOP = '.',
    OP_MARK = '(',
    OP_GLOBAL = 'c',
    OP_REDUCE = 'R',
    OP_BUILD = 'b',
    OP_BINPERSID = 'Q',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_NONE = 'N',
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_LONG1 = 0x8a,
    OP_BINUNICODE = 'X',
    OP_EMPTY_TUPLE = ')',
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_TUPLE = 't',
    OP_EMPTY_DICT = '}',
    OP_SETITEM = 's',
    OP_SETITEMS = 'u',
};

// ---- global names ----

enum symbol { SYMBOL_DICT, SYMBOL_TENSOR, SYMBOL_PARAMETER, SYMBOL_STORAGE };

// `text` is the argument of GLOBAL: module and name, each with a line break.
static const struct {
    const char *text;
    enum symbol symbol;
    struct loam_pickled_type type; // of SYMBOL_STORAGE
} symbols[] = {
    {"collections\nOrderedDict\n", SYMBOL_DICT, {0}},
    {"torch._utils\n_rebuild_tensor_v2\n", SYMBOL_TENSOR, {0}},
    {"torch._utils\n_rebuild_parameter\n", SYMBOL_PARAMETER, {0}},
    {"torch\nFloatStorage\n", SYMBOL_STORAGE, {"float32", 4, LOAM_FORMAT_F32}},
    {"torch\nHalfStorage\n", SYMBOL_STORAGE, {"float16", 2, LOAM_FORMAT_F16}},
    {"torch\nBFloat16Storage\n", SYMBOL_STORAGE, {"bfloat16", 2, LOAM_FORMAT_BF16}},
    {"torch\nDoubleStorage\n", SYMBOL_STORAGE, {"float64", 8, LOAM_FORMAT_F64}},
    {"torch\nIntStorage\n", SYMBOL_STORAGE, {"int32", 4, LOAM_FORMAT_I32}},
    {"torch\nLongStorage\n", SYMBOL_STORAGE, {"int64", 8, LOAM_FORMAT_NONE}},
    {"torch\nShortStorage\n", SYMBOL_STORAGE, {"int16", 2, LOAM_FORMAT_NONE}},
    {"torch\nCharStorage\n", SYMBOL_STORAGE, {"int8", 1, LOAM_FORMAT_NONE}},
    {"torch\nByteStorage\n", SYMBOL_STORAGE, {"uint8", 1, LOAM_FORMAT_NONE}},
    {"torch\nBoolStorage\n", SYMBOL_STORAGE, {"bool", 1, LOAM_FORMAT_NONE}},
};
enum { SYMBOLS = sizeof symbols / sizeof symbols[0] };

static const char *const kind_names[] = {"None",    "a bool",       "a number",  "a text",  "a function",
                                         "a tuple", "a dictionary", "a storage", "a tensor"};

// The argument of an opcode; NULL: the pickle ends within it.
static const uint8_t *take(struct loam_pickle_reader *reader, size_t size)
{
    if (size > (size_t)(reader->end - reader->at)) return NULL;
    reader->at += size;
    return reader->at - size;
}

// The little-endian number of `size` bytes; fails where the pickle ends.
static enum loam_status take_number(struct loam_pickle_reader *reader, size_t size, uint64_t *number,
                                    struct loam_error *error)
{
    const uint8_t *bytes = take(reader, size);
    if (bytes == NULL) return loam_pickle_fail(reader, "the pickle ends", error);
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return LOAM_OK;
}

// ---- scalars ----

static enum loam_status push_number(struct loam_pickle_reader *reader, int64_t number,
                                    struct loam_error *error)
{
    return loam_pickle_push_new(
        reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_NUMBER, .number = number}, error);
}

// A signed number of up to 8 bytes, little-endian, after its count of bytes.
static enum loam_status read_long(struct loam_pickle_reader *reader, struct loam_error *error)
{
    uint64_t size = 0, bits = 0;
    LOAM_TRY(take_number(reader, 1, &size, error));
    if (size > 8) return loam_pickle_fail(reader, "a number is too large", error);
    LOAM_TRY(take_number(reader, (size_t)size, &bits, error));
    if (size > 0 && size < 8 && (bits >> (8 * size - 1)) != 0) bits |= UINT64_MAX << (8 * size);
    return push_number(reader, (int64_t)bits, error);
}

static enum loam_status read_text(struct loam_pickle_reader *reader, struct loam_error *error)
{
    uint64_t size = 0;
    LOAM_TRY(take_number(reader, 4, &size, error));
    const uint8_t *text = take(reader, (size_t)size);
    if (text == NULL) return loam_pickle_fail(reader, "the pickle ends", error);
    return loam_pickle_push_new(
        reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_TEXT, .text = {text, (size_t)size}}, error);
}

static enum loam_status read_global(struct loam_pickle_reader *reader, struct loam_error *error)
{
    const uint8_t *text = reader->at;
    const size_t left = (size_t)(reader->end - reader->at);
    const uint8_t *module_end = memchr(text, '\n', left);
    const uint8_t *end =
        module_end == NULL ? NULL : memchr(module_end + 1, '\n', left - (size_t)(module_end + 1 - text));
    if (end == NULL) return loam_pickle_fail(reader, "the pickle ends", error);
    const size_t size = (size_t)(end + 1 - text);
    reader->at = end + 1;
    for (size_t i = 0; i < SYMBOLS; i++)
        if (strlen(symbols[i].text) == size && memcmp(symbols[i].text, text, size) == 0)
            return loam_pickle_push_new(
                reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_SYMBOL, .symbol = i}, error);
    const int module = (int)(module_end - text < 128 ? module_end - text : 128);
    const int name = (int)(end - module_end - 1 < 128 ? end - module_end - 1 : 128);
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s needs %.*s.%.*s, which loam does not run: it reads state dictionaries of dense "
                     "tensors alone; save the model as safetensors with transformers' save_pretrained",
                     reader->name, module, (const char *)text, name, (const char *)module_end + 1);
}

// ---- calls ----

// ("storage", class, key, device, elements)
static enum loam_status read_storage(struct loam_pickle_reader *reader, struct loam_error *error)
{
    static const char tag[] = "storage";
    uint32_t number = 0, symbol = 0, key = 0;
    LOAM_TRY(loam_pickle_pop_kind(reader, LOAM_PICKLE_TUPLE, "BINPERSID is used", &number, error));
    const struct loam_pickle_value *tuple = &reader->values[number];
    const struct loam_pickle_value *text = loam_pickle_item(reader, tuple, 0, LOAM_PICKLE_TEXT, &number);
    const struct loam_pickle_value *type = loam_pickle_item(reader, tuple, 1, LOAM_PICKLE_SYMBOL, &symbol);
    const struct loam_pickle_value *name = loam_pickle_item(reader, tuple, 2, LOAM_PICKLE_TEXT, &key);
    const struct loam_pickle_value *device = loam_pickle_item(reader, tuple, 3, LOAM_PICKLE_TEXT, &number);
    const struct loam_pickle_value *elements =
        loam_pickle_item(reader, tuple, 4, LOAM_PICKLE_NUMBER, &number);
    if (tuple->list.count != 5 || text == NULL || type == NULL || name == NULL || device == NULL ||
        elements == NULL || text->text.size != sizeof tag - 1 ||
        memcmp(text->text.text, tag, sizeof tag - 1) != 0 || symbols[type->symbol].symbol != SYMBOL_STORAGE ||
        elements->number < 0)
        return loam_pickle_fail_form(reader, "a storage is named", error);
    const struct loam_pickle_value storage = {
        .kind = LOAM_PICKLE_STORAGE,
        .storage = {.symbol = symbol, .key = key, .elements = elements->number},
    };
    return loam_pickle_push_new(reader, storage, error);
}

// (storage, offset, size, stride, requires_grad, hooks), and perhaps a dictionary of further properties,
// which must be empty: they mark values as conjugated or negated.
static enum loam_status rebuild_tensor(struct loam_pickle_reader *reader,
                                       const struct loam_pickle_value *arguments, struct loam_error *error)
{
    uint32_t storage = 0, size = 0, stride = 0, number = 0;
    const size_t count = arguments->list.count;
    const struct loam_pickle_value *offset =
        loam_pickle_item(reader, arguments, 1, LOAM_PICKLE_NUMBER, &number);
    const struct loam_pickle_value *further =
        loam_pickle_item(reader, arguments, 6, LOAM_PICKLE_DICT, &number);
    if ((count != 6 && count != 7) || (count == 7 && (further == NULL || further->pairs > 0)) ||
        loam_pickle_item(reader, arguments, 0, LOAM_PICKLE_STORAGE, &storage) == NULL || offset == NULL ||
        offset->number < 0 || loam_pickle_item(reader, arguments, 2, LOAM_PICKLE_TUPLE, &size) == NULL ||
        loam_pickle_item(reader, arguments, 3, LOAM_PICKLE_TUPLE, &stride) == NULL ||
        loam_pickle_item(reader, arguments, 4, LOAM_PICKLE_BOOL, &number) == NULL ||
        loam_pickle_item(reader, arguments, 5, LOAM_PICKLE_DICT, &number) == NULL)
        return loam_pickle_fail_form(reader, "_rebuild_tensor_v2 is called", error);
    const struct loam_pickle_value tensor = {
        .kind = LOAM_PICKLE_TENSOR,
        .tensor = {.storage = storage, .size = size, .stride = stride, .offset = offset->number},
    };
    return loam_pickle_push_new(reader, tensor, error);
}

// (tensor, requires_grad, hooks)
static enum loam_status rebuild_parameter(struct loam_pickle_reader *reader,
                                          const struct loam_pickle_value *arguments, struct loam_error *error)
{
    uint32_t tensor = 0;
    if (arguments->list.count != 3 ||
        loam_pickle_item(reader, arguments, 0, LOAM_PICKLE_TENSOR, &tensor) == NULL)
        return loam_pickle_fail_form(reader, "_rebuild_parameter is called", error);
    return loam_pickle_push(reader, tensor, error);
}

static enum loam_status call(struct loam_pickle_reader *reader, struct loam_error *error)
{
    uint32_t number = 0, function = 0;
    LOAM_TRY(loam_pickle_pop_kind(reader, LOAM_PICKLE_TUPLE, "REDUCE is used", &number, error));
    LOAM_TRY(loam_pickle_pop_kind(reader, LOAM_PICKLE_SYMBOL, "REDUCE is used", &function, error));
    const struct loam_pickle_value *arguments = &reader->values[number];
    switch (symbols[reader->values[function].symbol].symbol) {
    case SYMBOL_DICT:
        if (arguments->list.count > 0) return loam_pickle_fail_form(reader, "OrderedDict is called", error);
        return loam_pickle_push_new(reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_DICT}, error);
    case SYMBOL_TENSOR:
        return rebuild_tensor(reader, arguments, error);
    case SYMBOL_PARAMETER:
        return rebuild_parameter(reader, arguments, error);
    case SYMBOL_STORAGE:
        break;
    }
    return loam_pickle_fail_form(reader, "a class of storages is called", error);
}

// The state of an OrderedDict is its attribute _metadata, versions of modules: it is passed over.
static enum loam_status build(struct loam_pickle_reader *reader, struct loam_error *error)
{
    uint32_t state = 0, dictionary = 0;
    LOAM_TRY(loam_pickle_pop_kind(reader, LOAM_PICKLE_DICT, "BUILD is used", &state, error));
    LOAM_TRY(loam_pickle_pop_kind(reader, LOAM_PICKLE_DICT, "BUILD is used", &dictionary, error));
    return loam_pickle_push(reader, dictionary, error);
}

// ---- running ----

static enum loam_status run_numbered(struct loam_pickle_reader *reader, uint8_t opcode,
                                     struct loam_error *error)
{
    const size_t size = opcode == OP_BININT || opcode == OP_LONG_BINPUT || opcode == OP_LONG_BINGET ? 4
                        : opcode == OP_BININT2                                                      ? 2
                                                                                                    : 1;
    uint64_t number = 0;
    LOAM_TRY(take_number(reader, size, &number, error));
    switch (opcode) {
    case OP_BINPUT:
    case OP_LONG_BINPUT:
        return loam_pickle_put(reader, number, error);
    case OP_BINGET:
    case OP_LONG_BINGET:
        return loam_pickle_get(reader, number, error);
    case OP_BININT:
        return push_number(reader, (int32_t)(uint32_t)number, error);
    case OP_PROTO:
        if (number == PROTOCOL) return LOAM_OK;
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s is a pickle of protocol %d; expected %d, the default of torch.save: save the "
                         "model again without pickle_protocol",
                         reader->name, (int)number, PROTOCOL);
    default:
        return push_number(reader, (int64_t)number, error);
    }
}

static enum loam_status run_opcode(struct loam_pickle_reader *reader, uint8_t opcode,
                                   struct loam_error *error)
{
    switch (opcode) {
    case OP_PROTO:
    case OP_BINPUT:
    case OP_LONG_BINPUT:
    case OP_BINGET:
    case OP_LONG_BINGET:
    case OP_BININT:
    case OP_BININT1:
    case OP_BININT2:
        return run_numbered(reader, opcode, error);
    case OP_LONG1:
        return read_long(reader, error);
    case OP_BINUNICODE:
        return read_text(reader, error);
    case OP_GLOBAL:
        return read_global(reader, error);
    case OP_NONE:
        return loam_pickle_push_new(reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_NONE}, error);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return loam_pickle_push_new(
            reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_BOOL, .number = opcode == OP_NEWTRUE},
            error);
    case OP_MARK:
        return loam_pickle_push_mark(reader, error);
    case OP_EMPTY_TUPLE:
        return loam_pickle_make_tuple(reader, 0, error);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return loam_pickle_make_tuple(reader, (size_t)(opcode - OP_TUPLE1) + 1, error);
    case OP_TUPLE:
        return loam_pickle_make_marked_tuple(reader, error);
    case OP_EMPTY_DICT:
        return loam_pickle_push_new(reader, (struct loam_pickle_value){.kind = LOAM_PICKLE_DICT}, error);
    case OP_SETITEM:
        return loam_pickle_set_item(reader, error);
    case OP_SETITEMS:
        return loam_pickle_set_marked_items(reader, error);
    case OP_BINPERSID:
        return read_storage(reader, error);
    case OP_REDUCE:
        return call(reader, error);
    case OP_BUILD:
        return build(reader, error);
    }
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: opcode 0x%02x before byte %zu is none that a state dictionary of tensors needs: "
                     "save the model as safetensors with transformers' save_pretrained",
                     reader->name, opcode, (size_t)(reader->at - reader->start));
}

static enum loam_status run(struct loam_pickle_reader *reader, struct loam_error *error)
{
    for (;;) {
        const uint8_t *opcode = take(reader, 1);
        if (opcode == NULL) return loam_pickle_fail(reader, "the pickle ends", error);
        if (*opcode == OP_STOP) return LOAM_OK;
        LOAM_TRY(run_opcode(reader, *opcode, error));
    }
}

// ---- the tensors ----

static enum loam_status copy_numbers(const struct loam_pickle_reader *reader,
                                     const struct loam_pickle_value *tuple, const char *what,
                                     struct loam_pickled_tensor *tensor, int64_t *out,
                                     struct loam_error *error)
{
    uint32_t number = 0;
    for (size_t i = 0; i < (size_t)tensor->rank; i++) {
        const struct loam_pickle_value *item =
            loam_pickle_item(reader, tuple, i, LOAM_PICKLE_NUMBER, &number);
        if (item == NULL || item->number < 0)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: the %s of tensor %.*s must hold whole numbers, none negative", reader->name,
                             what, (int)tensor->name.size, (const char *)tensor->name.text);
        out[i] = item->number;
    }
    return LOAM_OK;
}

static enum loam_status describe(const struct loam_pickle_reader *reader,
                                 const struct loam_pickle_value *value, struct loam_pickled_tensor *tensor,
                                 struct loam_error *error)
{
    const struct loam_pickle_value *storage = &reader->values[value->tensor.storage];
    const struct loam_pickle_value *size = &reader->values[value->tensor.size];
    const struct loam_pickle_value *stride = &reader->values[value->tensor.stride];
    const int name = (int)tensor->name.size;
    if (size->list.count > LOAM_MAX_RANK)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: tensor %.*s has %u dimensions; at most %d are supported", reader->name, name,
                         (const char *)tensor->name.text, size->list.count, LOAM_MAX_RANK);
    if (size->list.count != stride->list.count)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %.*s has %u sizes and %u strides",
                         reader->name, name, (const char *)tensor->name.text, size->list.count,
                         stride->list.count);
    tensor->type = &symbols[reader->values[storage->storage.symbol].symbol].type;
    tensor->storage = reader->values[storage->storage.key].text;
    tensor->elements = storage->storage.elements;
    tensor->offset = value->tensor.offset;
    tensor->rank = (int)size->list.count;
    LOAM_TRY(copy_numbers(reader, size, "shape", tensor, tensor->shape, error));
    return copy_numbers(reader, stride, "strides", tensor, tensor->stride, error);
}

enum { NAME_LIMIT = 4096 }; // bytes of a tensor's name

static enum loam_status add_tensor(const struct loam_pickle_reader *reader,
                                   const struct loam_pickle_pair *pair, struct loam_pickled_tensors *tensors,
                                   struct loam_error *error)
{
    const struct loam_pickle_value *key = &reader->values[pair->key];
    const struct loam_pickle_value *value = &reader->values[pair->value];
    if (key->kind != LOAM_PICKLE_TEXT || key->text.size > NAME_LIMIT ||
        memchr(key->text.text, '\0', key->text.size) != NULL)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s is no state dictionary: a key is no name of a tensor", reader->name);
    if (value->kind != LOAM_PICKLE_TENSOR)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s is no state dictionary: \"%.*s\" is %s; expected a tensor", reader->name,
                         (int)key->text.size, (const char *)key->text.text, kind_names[value->kind]);
    struct loam_pickled_tensor *items =
        loam_grow(tensors->items, &tensors->capacity, tensors->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    tensors->items = items;
    struct loam_pickled_tensor *tensor = &items[tensors->count++];
    *tensor = (struct loam_pickled_tensor){.name = key->text};
    return describe(reader, value, tensor, error);
}

// The value that is left is the dictionary.
static enum loam_status collect(struct loam_pickle_reader *reader, struct loam_pickled_tensors *tensors,
                                struct loam_error *error)
{
    uint32_t root = 0;
    LOAM_TRY(loam_pickle_pop(reader, &root, error));
    if (reader->values[root].kind != LOAM_PICKLE_DICT)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s is no state dictionary: it holds %s",
                         reader->name, kind_names[reader->values[root].kind]);
    for (size_t i = 0; i < reader->pair_count; i++)
        if (reader->pairs[i].dictionary == root)
            LOAM_TRY(add_tensor(reader, &reader->pairs[i], tensors, error));
    return LOAM_OK;
}

enum loam_status loam_pickle_read(struct loam_pickled_tensors *tensors, const uint8_t *data, size_t size,
                                  const char *name, struct loam_error *error)
{
    struct loam_pickle_reader reader = {.name = name, .start = data, .at = data, .end = data + size};
    *tensors = (struct loam_pickled_tensors){0};
    enum loam_status status = run(&reader, error);
    if (status == LOAM_OK) status = collect(&reader, tensors, error);
    if (status != LOAM_OK) loam_pickled_tensors_deinit(tensors);
    loam_pickle_reader_deinit(&reader);
    return status;
}

void loam_pickled_tensors_deinit(struct loam_pickled_tensors *tensors)
{
    free(tensors->items);
    *tensors = (struct loam_pickled_tensors){0};
}
