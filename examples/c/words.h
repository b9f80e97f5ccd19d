/* words.h: a table of words and counts, and its form as bytes: count (uint64), length (uint32), letters, word by word
 * in alphabetical order.  Shared by word_count.c, which checks the answer with it, and by its tasks. */
#ifndef WORDS_H
#define WORDS_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct word {
    char *text;
    uint32_t len;
    uint64_t count;
} word;
typedef struct words {
    word *v; /* open addressing; a power of two */
    size_t cap, n;
} words;

static inline word *words_slot(const words *w, const char *text, uint32_t len)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (uint32_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    size_t at = h & (w->cap - 1);
    while (w->v[at].text && (w->v[at].len != len || memcmp(w->v[at].text, text, len) != 0))
        at = (at + 1) & (w->cap - 1);
    return &w->v[at];
}

static inline int words_grow(words *w)
{
    words bigger = {.cap = w->cap ? w->cap * 2 : 1024, .n = w->n};
    bigger.v = calloc(bigger.cap, sizeof(word));
    if (!bigger.v)
        return -1;
    for (size_t i = 0; i < w->cap; i++)
        if (w->v[i].text)
            *words_slot(&bigger, w->v[i].text, w->v[i].len) = w->v[i];
    free(w->v);
    *w = bigger;
    return 0;
}

/* 0, or -1 without memory. */
static inline int words_add(words *w, const char *text, uint32_t len, uint64_t count)
{
    if (w->n * 2 >= w->cap && words_grow(w))
        return -1;
    word *slot = words_slot(w, text, len);
    if (!slot->text) {
        slot->text = malloc(len + 1);
        if (!slot->text)
            return -1;
        for (uint32_t i = 0; i < len; i++)
            slot->text[i] = text[i];
        slot->text[len] = '\0';
        slot->len = len;
        w->n++;
    }
    slot->count += count;
    return 0;
}

/* Every run of letters in `text`, in small letters. */
static inline int words_count(words *w, const char *text, size_t len)
{
    char buffer[64];
    for (size_t i = 0; i < len;) {
        uint32_t n = 0;
        for (; i < len && isalpha((unsigned char)text[i]); i++)
            if (n < sizeof(buffer))
                buffer[n++] = (char)tolower((unsigned char)text[i]);
        if (n > 0 && words_add(w, buffer, n, 1))
            return -1;
        while (i < len && !isalpha((unsigned char)text[i]))
            i++;
    }
    return 0;
}

static inline int words_by_text(const void *a, const void *b)
{
    const word *x = a, *y = b;
    if (!x->text || !y->text)
        return (x->text == NULL) - (y->text == NULL);
    return strcmp(x->text, y->text);
}

/* Takes the table apart (it can only be freed afterwards); NULL without memory. */
static inline char *words_pack(words *w, uint64_t *len)
{
    *len = 0;
    for (size_t i = 0; i < w->cap; i++)
        if (w->v[i].text)
            *len += 12 + w->v[i].len;
    char *out = malloc(*len + 1), *at = out;
    if (!out)
        return NULL;
    qsort(w->v, w->cap, sizeof(word), words_by_text);
    for (size_t i = 0; i < w->n; i++) {
        memcpy(at, &w->v[i].count, 8);
        memcpy(at + 8, &w->v[i].len, 4);
        memcpy(at + 12, w->v[i].text, w->v[i].len);
        at += 12 + w->v[i].len;
    }
    return out;
}

static inline int words_unpack(words *w, const char *data, uint64_t len)
{
    for (const char *end = data + len; data < end;) {
        uint64_t count;
        uint32_t n;
        memcpy(&count, data, 8);
        memcpy(&n, data + 8, 4);
        if (words_add(w, data + 12, n, count))
            return -1;
        data += 12 + n;
    }
    return 0;
}

static inline void words_free(words *w)
{
    for (size_t i = 0; i < w->cap; i++)
        free(w->v[i].text);
    free(w->v);
}

#endif
