// loam devices: the devices of this machine, and why one cannot be used.
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/output.h"
#include "device/registry.h"

struct list {
    json_t *devices;
    json_t *absent; // kinds without a device
    // The first device that "auto" can take; empty: the CPU.
    char automatic[sizeof((struct loam_device_entry *)NULL)->name];
};

// ---- JSON ----

static json_t *formats_json(unsigned formats)
{
    json_t *names = json_array();
    for (int dtype = 0; dtype < LOAM_DTYPE_COUNT; dtype++)
        if (loam_formats_have(formats, (enum loam_dtype)dtype))
            loam_json_push(&names, json_string(loam_dtype_name((enum loam_dtype)dtype)));
    return names;
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *entry_json(const struct loam_device_entry *entry)
{
    json_t *object = json_object();
    loam_json_put(&object, "device", json_string(entry->name));
    loam_json_put(&object, "model", text_or_null(entry->model));
    loam_json_put(&object, "memory_bytes",
                  entry->total_memory > 0 ? json_integer((json_int_t)entry->total_memory) : json_null());
    loam_json_put(&object, "free_bytes",
                  entry->free_memory != UINT64_MAX ? json_integer((json_int_t)entry->free_memory)
                                                   : json_null());
    loam_json_put(&object, "compute_capability", text_or_null(entry->capability));
    loam_json_put(&object, "driver", text_or_null(entry->driver));
    loam_json_put(&object, "code", text_or_null(entry->code));
    loam_json_put(&object, "dtypes", formats_json(entry->formats.compute));
    loam_json_put(&object, "usable", json_boolean(entry->reason.status == LOAM_OK));
    loam_json_put(&object, "reason", text_or_null(entry->reason.message));
    return object;
}

// ---- the list ----

static void list_backend(struct list *list, const struct loam_backend *backend)
{
    struct loam_error reason = {0};
    struct loam_device_entry entry;
    int index = 0;
    while (backend->exists != NULL ? backend->exists(index, &reason) : index == 0) {
        loam_device_entry_init(&entry, backend, index++);
        loam_json_push(&list->devices, entry_json(&entry));
        if (backend->automatic && entry.reason.status == LOAM_OK && list->automatic[0] == '\0')
            memcpy(list->automatic, entry.name, sizeof entry.name);
    }
    if (index > 0) return;
    json_t *absent = json_object();
    loam_json_put(&absent, "kind", json_string(backend->name));
    loam_json_put(&absent, "reason", json_string(reason.message));
    loam_json_push(&list->absent, absent);
}

static json_t *make_list(void)
{
    struct list list = {.devices = json_array(), .absent = json_array()};
    const struct loam_backend *backend;
    for (size_t i = 0; (backend = loam_backend_at(i)) != NULL; i++)
        list_backend(&list, backend);
    json_t *root = json_object();
    loam_json_put(&root, "auto", json_string(list.automatic[0] != '\0' ? list.automatic : "cpu"));
    loam_json_put(&root, "devices", list.devices);
    loam_json_put(&root, "absent", list.absent);
    return root;
}

// ---- text ----

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static enum loam_status format_line(struct loam_bytes *text, const char *label, const char *value,
                                    struct loam_error *error)
{
    return value == NULL ? LOAM_OK : loam_bytes_format(text, error, "  %-12s%s\n", label, value);
}

// "15.8 GiB, 14.9 GiB free"
static enum loam_status format_memory(struct loam_bytes *text, const json_t *device, struct loam_error *error)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    const json_t *total = json_object_get(device, "memory_bytes"),
                 *left = json_object_get(device, "free_bytes");
    char line[96] = "";
    if (!json_is_integer(total)) return LOAM_OK;
    const int used = snprintf(line, sizeof line, "%.1f GiB", (double)json_integer_value(total) / gib);
    if (json_is_integer(left))
        (void)snprintf(line + used, sizeof line - (size_t)used, ", %.1f GiB free",
                       (double)json_integer_value(left) / gib);
    return format_line(text, "memory:", line, error);
}

static enum loam_status format_device(struct loam_bytes *text, const json_t *device, struct loam_error *error)
{
    const json_t *dtypes = json_object_get(device, "dtypes");
    const char *model = text_of(device, "model");
    LOAM_TRY(
        loam_bytes_format(text, error, "%-14s%s\n", text_of(device, "device"), model != NULL ? model : ""));
    LOAM_TRY(format_memory(text, device, error));
    LOAM_TRY(format_line(text, "capability:", text_of(device, "compute_capability"), error));
    LOAM_TRY(format_line(text, "driver:", text_of(device, "driver"), error));
    LOAM_TRY(format_line(text, "code:", text_of(device, "code"), error));
    for (size_t i = 0; i < json_array_size(dtypes); i++)
        LOAM_TRY(loam_bytes_format(text, error, i == 0 ? "  %-12s%s" : "%s%s", i == 0 ? "dtypes:" : ", ",
                                   json_string_value(json_array_get(dtypes, i))));
    if (json_array_size(dtypes) > 0) LOAM_TRY(loam_bytes_append_text(text, "\n", error));
    return format_line(text, "unusable:", text_of(device, "reason"), error);
}

static enum loam_status format_list(struct loam_bytes *text, const json_t *root, struct loam_error *error)
{
    const json_t *devices = json_object_get(root, "devices"), *absent = json_object_get(root, "absent");
    for (size_t i = 0; i < json_array_size(devices); i++)
        LOAM_TRY(format_device(text, json_array_get(devices, i), error));
    for (size_t i = 0; i < json_array_size(absent); i++) {
        const json_t *kind = json_array_get(absent, i);
        LOAM_TRY(loam_bytes_format(text, error, "%-14snone: %s\n", text_of(kind, "kind"),
                                   text_of(kind, "reason")));
    }
    return loam_bytes_format(text, error, "%-14s%s\n", "auto", text_of(root, "auto"));
}

enum loam_status loam_run_devices(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bytes text = {0};
    json_t *root = make_list();
    if (settings->json || root == NULL) return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    enum loam_status status = format_list(&text, root, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    json_decref(root);
    return status;
}
