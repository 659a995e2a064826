// A record as a tree: what a data file has at one place, whatever the format of the file.
#ifndef LOAM_DATA_RECORD_H
#define LOAM_DATA_RECORD_H

#include <jansson.h>

#include "base/status.h"

// The fields by which a record is recognised. A list of messages is an array of at least one object with
// "role" and "content".
enum loam_record_shape {
    LOAM_RECORD_TEXT,            // "text": a string
    LOAM_RECORD_COMPLETION,      // "prompt" and "completion": strings
    LOAM_RECORD_CHAT_COMPLETION, // "prompt" and "completion": lists of messages
    LOAM_RECORD_INSTRUCTION,     // "instruction" and "output", maybe "input": strings
    LOAM_RECORD_MESSAGES,        // "messages": a list of messages; maybe "tools": an array
    LOAM_RECORD_PREFERENCE, // "chosen" and "rejected", maybe "prompt": all strings or all lists of messages
    LOAM_RECORD_SQUAD,      // "id", "title", "context", "question"; "answers": an array of strings
    LOAM_RECORD_CHOICES,    // "choices": an array of strings; "answer": the index of the right one
    LOAM_RECORD_FIELDS,     // other fields, for a template
};

#define LOAM_NO_ANSWER "Can not find answer" // the answer that a model learns for an unanswerable question

struct loam_record {
    const json_t *tree; // an object
    const char *path;   // of the file
    size_t line;        // of the file, from 1 on, where the record begins
    enum loam_record_shape shape;
};

#endif
