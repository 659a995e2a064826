// Tokenises records from standard input for scripts/parity_tokenizer.py. A record is a 32-bit size and
// that many bytes. The output for each is a 32-bit count with that many ids, starts and ends, then three
// texts with their sizes: decoded with special tokens, without them, and decoded as a stream. For a
// record that cannot be encoded it is the count -1 and the message with its size.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

static bool write_all(const void *data, size_t size)
{
    return fwrite(data, 1, size, stdout) == size;
}

static bool write_text(const struct loam_bytes *text)
{
    uint32_t size = (uint32_t)text->size;
    return write_all(&size, sizeof size) && (size == 0 || write_all(text->data, size));
}

static enum loam_status stream_ids(const struct loam_tokenizer *tokenizer,
                                   const struct loam_encoding *encoding, struct loam_bytes *text,
                                   struct loam_error *error)
{
    struct loam_decode_stream *stream;
    enum loam_status status = loam_decode_stream_create(&stream, tokenizer, false, error);
    for (size_t i = 0; i < encoding->count && status == LOAM_OK; i++)
        status = loam_decode_stream_push(stream, encoding->ids[i], text, error);
    if (status == LOAM_OK) status = loam_decode_stream_finish(stream, text, error);
    loam_decode_stream_destroy(stream);
    return status;
}

static bool write_record(const struct loam_tokenizer *tokenizer, const struct loam_encoding *encoding)
{
    struct loam_error error;
    struct loam_bytes texts[3] = {{0}};
    bool done = loam_tokenizer_decode(tokenizer, encoding->ids, encoding->count, false, &texts[0], &error) ==
                    LOAM_OK &&
                loam_tokenizer_decode(tokenizer, encoding->ids, encoding->count, true, &texts[1], &error) ==
                    LOAM_OK &&
                stream_ids(tokenizer, encoding, &texts[2], &error) == LOAM_OK;
    if (!done) fprintf(stderr, "%s\n", error.message);
    int32_t count = (int32_t)encoding->count;
    size_t bytes = encoding->count * sizeof count;
    done = done && write_all(&count, sizeof count);
    if (count > 0)
        done = done && write_all(encoding->ids, bytes) && write_all(encoding->starts, bytes) &&
               write_all(encoding->ends, bytes);
    for (int i = 0; i < 3; i++) {
        done = done && write_text(&texts[i]);
        loam_bytes_deinit(&texts[i]);
    }
    return done;
}

static bool write_failure(const struct loam_error *error)
{
    int32_t failed = -1;
    uint32_t size = (uint32_t)strlen(error->message);
    return write_all(&failed, sizeof failed) && write_all(&size, sizeof size) &&
           write_all(error->message, size);
}

static bool run(const struct loam_tokenizer *tokenizer, bool add_special_tokens)
{
    struct loam_encoding encoding = {0};
    struct loam_error error;
    uint32_t size;
    bool done = true;
    while (done && fread(&size, sizeof size, 1, stdin) == 1) {
        char *text = malloc((size_t)size + 1);
        done = text != NULL && fread(text, 1, size, stdin) == size;
        if (done) {
            bool encoded = loam_tokenizer_encode(tokenizer, text, size, add_special_tokens, &encoding,
                                                 &error) == LOAM_OK;
            done = encoded ? write_record(tokenizer, &encoding) : write_failure(&error);
        }
        free(text);
    }
    loam_encoding_deinit(&encoding);
    return done && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[2], "plain") != 0 && strcmp(argv[2], "special") != 0)) {
        fprintf(stderr, "usage: tokenizer_records TOKENIZER.JSON plain|special\n");
        return 2;
    }
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    if (loam_tokenizer_load(&tokenizer, argv[1], &error) != LOAM_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    bool done = run(tokenizer, strcmp(argv[2], "special") == 0);
    loam_tokenizer_destroy(tokenizer);
    return done ? 0 : 1;
}
