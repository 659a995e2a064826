// tokenizer.json: loading, then encoding and decoding a text.
#include <string.h>

#include "fuzz.h"
#include "text/tokenizer.h"

// Words, numbers, various spaces, special tokens, composed and decomposed accents, other scripts, an
// emoji, and a line of one letter.
static const char text[] = "<s> The  quick\tbrown fox's 12,345 \xC3\xA9 e\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD "
                           "\xF0\x9F\x98\x80\r\n\xC2\xA0\xE2\x96\x81 lower low </s>\n\n "
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

static void check_spans(const struct loam_encoding *encoding)
{
    for (size_t i = 0; i < encoding->count; i++) {
        fuzz_require(encoding->starts[i] <= encoding->ends[i]);
        fuzz_require(encoding->ends[i] < sizeof text);
    }
}

static void decode_stream(const struct loam_tokenizer *tokenizer, const struct loam_encoding *encoding)
{
    struct loam_error error;
    struct loam_decode_stream *stream;
    struct loam_bytes decoded = {0};
    enum loam_status status = loam_decode_stream_create(&stream, tokenizer, true, &error);
    for (size_t i = 0; i < encoding->count && status == LOAM_OK; i++)
        status = loam_decode_stream_push(stream, encoding->ids[i], &decoded, &error);
    if (status == LOAM_OK) status = loam_decode_stream_finish(stream, &decoded, &error);
    fuzz_require_message(status, &error);
    loam_decode_stream_destroy(stream);
    loam_bytes_deinit(&decoded);
}

static void decode(const struct loam_tokenizer *tokenizer, const struct loam_encoding *encoding)
{
    struct loam_error error;
    struct loam_bytes decoded = {0};
    fuzz_require_message(
        loam_tokenizer_decode(tokenizer, encoding->ids, encoding->count, false, &decoded, &error), &error);
    loam_bytes_deinit(&decoded);
    decode_stream(tokenizer, encoding);
}

static void use(const struct loam_tokenizer *tokenizer)
{
    struct loam_error error;
    struct loam_encoding encoding = {0};
    enum loam_status status =
        loam_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &encoding, &error);
    fuzz_require_message(status, &error);
    if (status == LOAM_OK) {
        check_spans(&encoding);
        for (size_t i = 0; i < encoding.count; i++)
            fuzz_require(encoding.ids[i] >= 0 && encoding.ids[i] < loam_tokenizer_vocabulary_size(tokenizer));
        decode(tokenizer, &encoding);
    }
    loam_encoding_deinit(&encoding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    enum loam_status status =
        loam_tokenizer_load(&tokenizer, fuzz_write("tokenizer.json", data, size), &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    use(tokenizer);
    loam_tokenizer_destroy(tokenizer);
    return 0;
}
