#include "run/tensorboard.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"

// ---- TFRecord ----

uint32_t loam_tensorboard_masked_crc(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0); // the polynomial 0x1edc6f41, reflected
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static void put_little_endian(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

// ---- protobuf ----

// Field numbers of event.proto, summary.proto and tensor.proto.
enum {
    EVENT_WALL_TIME = 1, // double
    EVENT_STEP = 2,      // int64
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2, // float
    VALUE_TENSOR = 8,
    VALUE_METADATA = 9,
    METADATA_PLUGIN = 1,
    PLUGIN_NAME = 1,
    TENSOR_DTYPE = 1,
    TENSOR_SHAPE = 2,
    TENSOR_STRING = 8,
    SHAPE_DIMENSION = 2,
    DIMENSION_SIZE = 1,
    DTYPE_STRING = 7,
};
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

// A message in a buffer of fixed size. After an append that does not fit, `is_whole` is false.
struct message {
    unsigned char *data;
    size_t size;
    size_t capacity;
    bool is_whole;
};

static void append(struct message *message, const void *data, size_t size)
{
    message->is_whole = message->is_whole && size <= message->capacity - message->size;
    if (!message->is_whole || size == 0) return;
    memcpy(message->data + message->size, data, size);
    message->size += size;
}

static void append_varint(struct message *message, uint64_t value)
{
    unsigned char bytes[10];
    size_t size = 0;
    do {
        bytes[size++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value > 0);
    append(message, bytes, size);
}

static void append_key(struct message *message, int field, enum wire wire)
{
    append_varint(message, (uint64_t)field << 3 | (uint64_t)wire);
}

static void append_integer(struct message *message, int field, int64_t value)
{
    append_key(message, field, WIRE_VARINT);
    append_varint(message, (uint64_t)value);
}

static void append_double(struct message *message, int field, double value)
{
    uint64_t bits;
    unsigned char bytes[8];
    memcpy(&bits, &value, sizeof bits);
    put_little_endian(bytes, bits, 8);
    append_key(message, field, WIRE_64);
    append(message, bytes, sizeof bytes);
}

static void append_float(struct message *message, int field, float value)
{
    uint32_t bits;
    unsigned char bytes[4];
    memcpy(&bits, &value, sizeof bits);
    put_little_endian(bytes, bits, 4);
    append_key(message, field, WIRE_32);
    append(message, bytes, sizeof bytes);
}

static void append_bytes(struct message *message, int field, const void *data, size_t size)
{
    append_key(message, field, WIRE_BYTES);
    append_varint(message, size);
    append(message, data, size);
}

static void append_message(struct message *message, int field, const struct message *part)
{
    message->is_whole = message->is_whole && part->is_whole;
    append_bytes(message, field, part->data, part->size);
}

#define MESSAGE_ON_STACK(bytes) ((struct message){(unsigned char[bytes]){0}, 0, bytes, true})

// ---- events ----

// Bytes: an event without its summary, and the two parts of the frame around it.
enum { EVENT_ROOM = 64, HEAD_SIZE = 12, TAIL_SIZE = 4 };

static void begin_event(struct message *event, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    // Room for the head, which write_event fills in.
    append(event, (unsigned char[HEAD_SIZE]){0}, HEAD_SIZE);
    append_double(event, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    if (step > 0) append_integer(event, EVENT_STEP, step);
}

// Frames the event, which begins HEAD_SIZE bytes into the message, and writes it in one piece.
static enum loam_status write_event(struct loam_tensorboard *board, struct message *event,
                                    struct loam_error *error)
{
    unsigned char tail[TAIL_SIZE];
    if (event->is_whole) {
        size_t size = event->size - HEAD_SIZE;
        put_little_endian(event->data, size, 8);
        put_little_endian(event->data + 8, loam_tensorboard_masked_crc(event->data, 8), 4);
        put_little_endian(tail, loam_tensorboard_masked_crc(event->data + HEAD_SIZE, size), 4);
        append(event, tail, sizeof tail);
    }
    if (!event->is_whole)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "%s: an event is too large", board->journal.path);
    return loam_journal_append(&board->journal, event->data, event->size, error);
}

enum { TAG_SIZE = 64, VALUE_ROOM = TAG_SIZE + 16 };

static void append_scalar(struct message *summary, const struct loam_metric *metric)
{
    static const char evaluated[] = "eval_";
    bool eval = strncmp(metric->name, evaluated, sizeof evaluated - 1) == 0;
    char tag[TAG_SIZE];
    int length = snprintf(tag, sizeof tag, "%s/%s", eval ? "eval" : "train",
                          metric->name + (eval ? sizeof evaluated - 1 : 0));
    struct message value = MESSAGE_ON_STACK(VALUE_ROOM);
    value.is_whole = length < TAG_SIZE;
    append_bytes(&value, VALUE_TAG, tag, strlen(tag));
    append_float(&value, VALUE_SIMPLE, (float)metric->value);
    append_message(summary, SUMMARY_VALUE, &value);
}

bool loam_tensorboard_is_open(const struct loam_tensorboard *board)
{
    return board->journal.path != NULL;
}

enum loam_status loam_tensorboard_scalars(struct loam_tensorboard *board, const struct loam_metric *metrics,
                                          size_t count, int64_t step, struct loam_error *error)
{
    if (!loam_tensorboard_is_open(board)) return LOAM_OK;
    struct message summary = MESSAGE_ON_STACK(LOAM_TENSORBOARD_SCALARS * (VALUE_ROOM + 4));
    struct message event =
        MESSAGE_ON_STACK(LOAM_TENSORBOARD_SCALARS * (VALUE_ROOM + 4) + EVENT_ROOM + HEAD_SIZE + TAIL_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (isfinite(metrics[i].value) && strcmp(metrics[i].name, "step") != 0)
            append_scalar(&summary, &metrics[i]);
    }
    begin_event(&event, step);
    append_message(&event, EVENT_SUMMARY, &summary);
    return write_event(board, &event, error);
}

// Appends the text as a string tensor of shape [1].
static void append_text_value(struct message *value, const char *tag, const char *text, size_t size,
                              struct message *tensor)
{
    struct message plugin = MESSAGE_ON_STACK(16), metadata = MESSAGE_ON_STACK(32);
    struct message dimension = MESSAGE_ON_STACK(16), shape = MESSAGE_ON_STACK(32);
    append_bytes(&plugin, PLUGIN_NAME, "text", 4);
    append_message(&metadata, METADATA_PLUGIN, &plugin);
    append_integer(&dimension, DIMENSION_SIZE, 1);
    append_message(&shape, SHAPE_DIMENSION, &dimension);
    append_integer(tensor, TENSOR_DTYPE, DTYPE_STRING);
    append_message(tensor, TENSOR_SHAPE, &shape);
    append_bytes(tensor, TENSOR_STRING, text, size);
    append_bytes(value, VALUE_TAG, tag, strlen(tag));
    append_message(value, VALUE_TENSOR, tensor);
    append_message(value, VALUE_METADATA, &metadata);
}

enum loam_status loam_tensorboard_text(struct loam_tensorboard *board, const char *tag, const char *text,
                                       size_t size, struct loam_error *error)
{
    if (!loam_tensorboard_is_open(board)) return LOAM_OK;
    // One allocation holds the buffers of all nested messages.
    enum { LAYERS = 4, LAYER_ROOM = 256 };
    size_t room = size + strlen(tag) + LAYER_ROOM;
    struct loam_bytes memory = {0};
    LOAM_TRY(loam_bytes_reserve(&memory, LAYERS * room, error));
    struct message layers[LAYERS];
    for (size_t i = 0; i < LAYERS; i++)
        layers[i] = (struct message){(unsigned char *)memory.data + i * room, 0, room, true};
    struct message *tensor = &layers[0], *value = &layers[1], *summary = &layers[2], *event = &layers[3];
    append_text_value(value, tag, text, size, tensor);
    append_message(summary, SUMMARY_VALUE, value);
    begin_event(event, 0);
    append_message(event, EVENT_SUMMARY, summary);
    enum loam_status status = write_event(board, event, error);
    loam_bytes_deinit(&memory);
    return status;
}

// ---- the file ----

static enum loam_status make_directory(const char *directory, struct loam_error *error)
{
    if (mkdir(directory, 0777) == 0 || errno == EEXIST) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "%s cannot be made: %s", directory, strerror(errno));
}

static const char event_prefix[] = "events.out.tfevents.";

// Creates "events.out.tfevents.TIME.HOST.PROCESS.NANOSECONDS": TensorBoard looks for the prefix, and the rest
// makes the name unique.
static enum loam_status create_file(struct loam_tensorboard *board, const char *directory,
                                    struct loam_error *error)
{
    char host[128] = "", name[256];
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') snprintf(host, sizeof host, "localhost");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, sizeof name, "%s%lld.%s.%lld.%ld", event_prefix, (long long)now.tv_sec, host,
             (long long)getpid(), now.tv_nsec);
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_journal_open(&board->journal, path, error);
    board->journal.owns_directory = true;
    free(path);
    return status;
}

enum loam_status loam_tensorboard_open(struct loam_tensorboard *board, const char *directory,
                                       struct loam_error *error)
{
    static const char version[] = "brain.Event:2";
    LOAM_TRY(make_directory(directory, error));
    LOAM_TRY(create_file(board, directory, error));
    struct message event = MESSAGE_ON_STACK(EVENT_ROOM + HEAD_SIZE + TAIL_SIZE);
    begin_event(&event, 0);
    append_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
    return write_event(board, &event, error);
}

enum loam_status loam_tensorboard_reopen(struct loam_tensorboard *board, const char *directory,
                                         const char *name, int64_t bytes, struct loam_error *error)
{
    struct stat about;
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    // The rest of the file is cut off, so it must be an event file, and not a link to a file elsewhere.
    if (strncmp(name, event_prefix, sizeof event_prefix - 1) == 0 && lstat(path, &about) == 0 &&
        S_ISREG(about.st_mode) && about.st_nlink == 1 && about.st_size >= bytes)
        status = loam_journal_reopen(&board->journal, path, bytes, error);
    board->journal.owns_directory = true;
    free(path);
    return status;
}

void loam_tensorboard_close(struct loam_tensorboard *board)
{
    loam_journal_close(&board->journal);
}
