/* text.c: a growing text, for JSON.  Owns nothing; no lock. */
#include "engine/process/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_room(mr_text *t, size_t more)
{
    if (t->failed)
        return false;
    if (t->n + more < t->cap)
        return true;
    size_t cap = (t->cap + more + 256) * 2;
    char *grown = realloc(t->s, cap);
    if (!grown) {
        t->failed = true;
        return false;
    }
    t->s = grown;
    t->cap = cap;
    return true;
}

void mr_text_raw(mr_text *t, const char *bytes, size_t len)
{
    if (!text_room(t, len + 1))
        return;
    memcpy(t->s + t->n, bytes, len);
    t->n += len;
    t->s[t->n] = 0;
}

void mr_text_put(mr_text *t, const char *fmt, ...)
{
    va_list args;
    if (!text_room(t, 256))
        return;
    va_start(args, fmt);
    int len = vsnprintf(t->s + t->n, t->cap - t->n, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len >= t->cap - t->n) {
        if (!text_room(t, (size_t)len + 1))
            return;
        va_start(args, fmt);
        len = vsnprintf(t->s + t->n, t->cap - t->n, fmt, args);
        va_end(args);
    }
    if (len > 0)
        t->n += (size_t)len;
}

void mr_text_string(mr_text *t, const char *s)
{
    mr_text_raw(t, "\"", 1);
    while (s && *s) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        mr_text_raw(t, s, plain);
        s += plain;
        if (*s)
            mr_text_put(t, "\\u%04x", (unsigned char)*s++);
    }
    mr_text_raw(t, "\"", 1);
}

void mr_text_bytes(mr_text *t, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    if (!text_room(t, 2 * len + 3))
        return;
    t->s[t->n++] = '"';
    for (size_t i = 0; i < len; i++) {
        t->s[t->n++] = digits[b[i] >> 4];
        t->s[t->n++] = digits[b[i] & 15];
    }
    t->s[t->n++] = '"';
    t->s[t->n] = 0;
}

void mr_text_id(mr_text *t, const char *key, mr_id id)
{
    mr_text_put(t, "\"%s\":\"%016llx\"", key, (unsigned long long)id);
}
