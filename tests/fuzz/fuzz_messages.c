// A conversation, and the tools that its answer may call. An input is both, separated by 0xFF.
#include "commands/messages.h"
#include "fuzz.h"

static void check(struct loam_messages *messages)
{
    struct loam_error error;
    json_t *window;
    const size_t count = loam_messages_size(messages);
    fuzz_require(count > 0 && loam_messages_role(messages, count)[0] == '\0');
    while (loam_messages_drop_turn(messages))
        fuzz_require(messages->dropped < count);
    fuzz_require(loam_messages_window(messages, &window, &error) == LOAM_OK);
    fuzz_require(json_array_size(window) > 0 && json_array_size(window) <= count);
    json_decref(window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_messages messages = {0};
    struct fuzz_part rest = {data, size};
    const struct fuzz_part text = fuzz_next_part(&rest, 0), tools = fuzz_next_part(&rest, 1);
    enum loam_status status =
        loam_messages_parse(&messages, (const char *)text.data, text.size, "messages", NULL, &error);
    fuzz_require_message(status, &error);
    if (status == LOAM_OK) check(&messages);
    status = loam_messages_parse_tools(&messages, (const char *)tools.data, tools.size, "tools", &error);
    fuzz_require_message(status, &error);
    fuzz_require(status != LOAM_OK || json_is_array(messages.tools));
    loam_messages_deinit(&messages);
    return 0;
}
