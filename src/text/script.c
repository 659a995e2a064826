#include "text/script.h"

#include <string.h>

#include "text/unicode_data.h"

enum { ALIAS_LENGTH = 4 }; // letters of the alias that each script has besides its name: "hani" of "han"

uint32_t loam_char_script(int32_t code_point)
{
    return loam_runs_value(&loam_unicode_scripts, code_point) % LOAM_SCRIPTS;
}

const char *loam_script_name(uint32_t script)
{
    const char *name = NULL;
    for (size_t i = 0; i < loam_unicode_property_count; i++) {
        const struct loam_unicode_property *property = &loam_unicode_properties[i];
        if (property->runs != &loam_unicode_scripts || property->value != script) continue;
        // A name of four letters, "thai", has no other alias, or comes before it.
        if (strlen(property->name) != ALIAS_LENGTH) return property->name;
        if (name == NULL) name = property->name;
    }
    return name;
}

bool loam_script_is_shared(uint32_t script)
{
    static const char *const shared[] = {"common", "inherited", "unknown"};
    const char *name = loam_script_name(script);
    for (size_t i = 0; name != NULL && i < sizeof shared / sizeof *shared; i++)
        if (strcmp(name, shared[i]) == 0) return true;
    return name == NULL;
}
