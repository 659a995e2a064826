#include "data/dataset_sniff.h"

#include <string.h>

// The first bytes of file formats, and the remedy. Longer signatures stand before their prefixes.
static const struct signature {
    const char *start;
    size_t size;
    const char *message;
} signatures[] = {
    {"\x1F\x8B", 2, "is compressed with gzip: unpack it first, with gunzip -k FILE"},
    {"\x28\xB5\x2F\xFD", 4, "is compressed with zstd: unpack it first, with zstd -d FILE"},
    {"\xFD"
     "7zXZ\0",
     6, "is compressed with xz: unpack it first, with unxz -k FILE"},
    {"BZh91AY&SY", 10, "is compressed with bzip2: unpack it first, with bunzip2 -k FILE"},
    {"PK\x03\x04", 4,
     "is a zip archive or a workbook (.xlsx): unpack it, or save the sheet as CSV and turn that into JSONL"},
    {"7z\xBC\xAF\x27\x1C", 6, "is a 7z archive: unpack it first, with 7z x FILE"},
    {"PAR1\x15", 5,
     "is a Parquet table: turn it into JSONL, with python3 -c \"import pandas; "
     "pandas.read_parquet('FILE').to_json('NEW.jsonl', orient='records', lines=True, force_ascii=False)\""},
    {"ARROW1\0", 7,
     "is an Arrow table: turn it into JSONL, with python3 -c \"import datasets; "
     "datasets.Dataset.from_file('FILE').to_json('NEW.jsonl', force_ascii=False)\""},
    {"SQLite format 3\0", 16, "is an SQLite database: write the examples out as JSONL"},
    {"%PDF-", 5, "is a PDF: turn it into text first, with pdftotext FILE NEW.txt"},
    {"GGUF", 4, "is a model in GGUF, not a file of examples"},
    {"\xFF\xFE\0\0", 4, "is UTF-32 text; loam reads UTF-8: iconv -f UTF-32 -t UTF-8 FILE >NEW"},
    {"\0\0\xFE\xFF", 4, "is UTF-32 text; loam reads UTF-8: iconv -f UTF-32 -t UTF-8 FILE >NEW"},
    {"\xFF\xFE", 2, "is UTF-16 text; loam reads UTF-8: iconv -f UTF-16 -t UTF-8 FILE >NEW"},
    {"\xFE\xFF", 2, "is UTF-16 text; loam reads UTF-8: iconv -f UTF-16 -t UTF-8 FILE >NEW"},
};

// Whether exactly every second of the first bytes, from `first` on, is NUL: ASCII in UTF-16 without a byte
// order mark.
static bool has_every_second_nul(const struct loam_map *map, size_t first)
{
    enum { EXAMINED = 16 }; // bytes
    size_t size = map->size < EXAMINED ? map->size & ~(size_t)1 : EXAMINED;
    for (size_t i = 0; i < size; i++)
        if ((map->data[i] == '\0') != (i % 2 == first)) return false;
    return size >= 4;
}

enum loam_status loam_data_refuse_binary(const char *path, const struct loam_map *map,
                                         struct loam_error *error)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const struct signature *signature = &signatures[i];
        if (map->size >= signature->size && memcmp(map->data, signature->start, signature->size) == 0)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s %s", path, signature->message);
    }
    for (size_t first = 0; first < 2; first++) {
        if (has_every_second_nul(map, first))
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s is UTF-16 text; loam reads UTF-8: iconv -f UTF-16%s -t UTF-8 FILE >NEW",
                             path, first == 0 ? "BE" : "LE");
    }
    return LOAM_OK;
}
