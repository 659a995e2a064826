#include "helpers/byte_tokenizer.h"

#include "test.h"

#include "base/bytes.h"

static const char *const special_names[] = {"<unk>", "<s>", "</s>", "<pad>"};

static struct loam_error error;

// Appends the character of a byte in byte-level vocabularies: printable bytes stand for themselves, the
// others are characters from U+0100 on, in order.
static void append_byte_character(struct loam_bytes *text, int byte)
{
    int others = 0;
    for (int b = 0; b <= byte; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        others += !printable;
        if (b < byte) continue;
        int c = printable ? b : 0xFF + others;
        if (c == '"' || c == '\\') assert_ok(loam_bytes_append_text(text, "\\", &error));
        char encoded[2] = {(char)(0xC0 | (c >> 6)), (char)(0x80 | (c & 0x3F))};
        if (c < 0x80) encoded[0] = (char)c;
        assert_ok(loam_bytes_append(text, encoded, c < 0x80 ? 1 : 2, &error));
    }
}

static void append_vocabulary(struct loam_bytes *text)
{
    assert_ok(loam_bytes_append_text(text, "\"vocab\": {", &error));
    for (int i = 0; i < TEST_BYTE; i++)
        assert_ok(loam_bytes_format(text, &error, "\"%s\": %d, ", special_names[i], i));
    for (int byte = 0; byte < 256; byte++) {
        assert_ok(loam_bytes_append_text(text, "\"", &error));
        append_byte_character(text, byte);
        assert_ok(loam_bytes_format(text, &error, "\": %d, ", TEST_BYTE + byte));
    }
    // U+010A is the character of the line break.
    assert_ok(loam_bytes_format(text, &error, "\"\xC4\x8Az\": %d}, \"merges\": [\"\xC4\x8A z\"]",
                                TEST_LINE_BREAK_Z));
}

static void append_post_processor(struct loam_bytes *text, bool adds_bos, bool adds_eos)
{
    static const char bos[] = "{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, ";
    static const char eos[] = ", {\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}";
    if (!adds_bos && !adds_eos) {
        assert_ok(loam_bytes_append_text(text, "\"post_processor\": null,\n", &error));
        return;
    }
    assert_ok(loam_bytes_format(
        text, &error,
        "\"post_processor\": {\"type\": \"TemplateProcessing\",\n"
        "\"single\": [%s{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}%s],\n"
        "\"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", "
        "\"type_id\": 1}}],\n"
        "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [1], \"tokens\": [\"<s>\"]},\n"
        "\"</s>\": {\"id\": \"</s>\", \"ids\": [2], \"tokens\": [\"</s>\"]}}},\n",
        adds_bos ? bos : "", adds_eos ? eos : ""));
}

struct loam_tokenizer *test_byte_tokenizer(const char *directory, bool adds_bos, bool adds_eos)
{
    struct loam_bytes text = {0};
    assert_ok(loam_bytes_append_text(
        &text, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n", &error));
    assert_ok(loam_bytes_append_text(&text, "\"added_tokens\": [", &error));
    for (int i = 0; i < TEST_BYTE; i++)
        assert_ok(loam_bytes_format(
            &text, &error,
            "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
            "\"rstrip\": false, \"normalized\": false, \"special\": true}",
            i > 0 ? ",\n" : "", i, special_names[i]));
    assert_ok(loam_bytes_append_text(
        &text,
        "],\n\"normalizer\": null,\n\"pre_tokenizer\": {\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": false},\n",
        &error));
    append_post_processor(&text, adds_bos, adds_eos);
    assert_ok(loam_bytes_append_text(&text,
                                     "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                                     "\"trim_offsets\": false, \"use_regex\": false},\n"
                                     "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                                     "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, "
                                     "\"fuse_unk\": false, \"byte_fallback\": false, ",
                                     &error));
    append_vocabulary(&text);
    assert_ok(loam_bytes_append_text(&text, "}}\n", &error));

    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    test_write_file(path, text.data, text.size);
    loam_bytes_deinit(&text);
    struct loam_tokenizer *tokenizer = NULL;
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    return tokenizer;
}

struct loam_special_tokens test_special_tokens(bool adds_bos, bool adds_eos)
{
    static int32_t ends[] = {TEST_EOS};
    return (struct loam_special_tokens){
        .bos = TEST_BOS,
        .eos = TEST_EOS,
        .eos_text = "</s>",
        .eos_ids = ends,
        .eos_count = 1,
        .add_bos = adds_bos,
        .add_eos = adds_eos,
    };
}

char *test_text_of_ids(const int32_t *ids, int32_t count)
{
    struct loam_bytes text = {0};
    assert_ok(loam_bytes_reserve(&text, 0, &error));
    for (int32_t i = 0; i < count; i++) {
        char byte = (char)(ids[i] - TEST_BYTE);
        if (ids[i] < TEST_BYTE)
            assert_ok(loam_bytes_append_text(&text, special_names[ids[i]], &error));
        else if (ids[i] == TEST_LINE_BREAK_Z)
            assert_ok(loam_bytes_append_text(&text, "\nz", &error));
        else
            assert_ok(loam_bytes_append(&text, &byte, 1, &error));
    }
    return text.data;
}
