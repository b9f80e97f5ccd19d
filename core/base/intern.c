/* intern.c: owns the texts and both directions of the map.  Does not know what the names are for.  No lock. */
#include "base/intern.h"

#include <stdlib.h>
#include <string.h>

/* Out of memory is an answer here, not the end of the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

typedef struct entry {
    UT_hash_handle hh;
    uint32_t number;
    char text[];
} entry;

struct mr_intern {
    entry *by_text;
    entry **by_number;
    uint32_t count, room;
};

mr_status mr_intern_new(mr_intern **out)
{
    mr_intern *in = calloc(1, sizeof *in);
    uint32_t zero;
    if (!in)
        return MR_E_NOMEM;
    if (mr_intern_put(in, "", 0, &zero)) {
        mr_intern_free(in);
        return MR_E_NOMEM;
    }
    *out = in;
    return MR_OK;
}

void mr_intern_free(mr_intern *in)
{
    if (!in)
        return;
    HASH_CLEAR(hh, in->by_text);
    for (uint32_t i = 0; i < in->count; i++)
        free(in->by_number[i]);
    free(in->by_number);
    free(in);
}

static entry *find(const mr_intern *in, const char *text, size_t len)
{
    entry *e = NULL;
    HASH_FIND(hh, in->by_text, text, len, e);
    return e;
}

mr_status mr_intern_put(mr_intern *in, const char *text, size_t len, uint32_t *out)
{
    entry *e = find(in, text, len);
    if (e) {
        *out = e->number;
        return MR_OK;
    }
    if (in->count == in->room) {
        uint32_t room = in->room ? in->room * 2 : 16;
        entry **grown = realloc(in->by_number, room * sizeof(entry *));
        if (!grown)
            return MR_E_NOMEM;
        in->by_number = grown;
        in->room = room;
    }
    e = malloc(sizeof *e + len + 1);
    if (!e)
        return MR_E_NOMEM;
    memcpy(e->text, text, len);
    e->text[len] = 0;
    e->number = in->count;
    HASH_ADD_KEYPTR(hh, in->by_text, e->text, len, e);
    if (!e->hh.tbl) { /* how uthash reports that it found no memory */
        free(e);
        return MR_E_NOMEM;
    }
    in->by_number[in->count++] = e;
    *out = e->number;
    return MR_OK;
}

mr_status mr_intern_find(const mr_intern *in, const char *text, size_t len, uint32_t *out)
{
    const entry *e = find(in, text, len);
    if (!e)
        return MR_E_NOTFOUND;
    *out = e->number;
    return MR_OK;
}

const char *mr_intern_text(const mr_intern *in, uint32_t number)
{
    return number < in->count ? in->by_number[number]->text : NULL;
}

uint32_t mr_intern_count(const mr_intern *in)
{
    return in->count;
}
