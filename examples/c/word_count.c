/* word_count.c: counts the words of files (or of its own text, made from a seed), one task per piece, tables merged in
 * pairs; then counts again without miniray and compares.
 *     word_count [--config FILE] [file...]
 */
#include "example.h"
#include "words.h"

enum { PIECE = 200000 };

static char *text;
static size_t text_len, text_room;

static void add_text(const char *bytes, size_t len)
{
    if (text_len + len >= text_room) {
        text_room = (text_len + len + 1) * 2;
        text = realloc(text, text_room);
        if (!text)
            exit(1);
    }
    memcpy(text + text_len, bytes, len);
    text_len += len;
}

static void add_file(const char *path)
{
    char buffer[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
        add_text(buffer, n);
    fclose(f);
}

static void make_text(void)
{
    static const char *const some[] = {"ray", "store", "task", "worker", "the", "node", "a", "of", "object", "queue"};
    unsigned seed = 7;
    for (int i = 0; i < 300000; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned k = seed >> 16;
        const char *w = some[(k % 100) * (k % 100) / 1000];
        add_text(w, strlen(w));
        add_text(k % 13 ? " " : ".\n", k % 13 ? 1 : 2);
    }
}

static int by_count(const void *a, const void *b)
{
    const word *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return words_by_text(a, b);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--config") == 0)
            i++;
        else
            add_file(argv[i]);
    if (!text)
        make_text();
    mr_session *s = example_open("word_count", argc, argv);
    uint32_t count = example_task(s, "count_words"), merge = example_task(s, "merge_counts");
    mr_err err;
    size_t n = 0;
    mr_id *ids = malloc((text_len / PIECE + 2) * sizeof(*ids));
    for (size_t at = 0; ids && at < text_len; n++) {
        size_t end = at + PIECE < text_len ? at + PIECE : text_len;
        while (end < text_len && isalpha((unsigned char)text[end]))
            end++; /* no word is cut */
        mr_id piece;
        must(mr_put(s, MR_FORMAT_BYTES, text + at, end - at, NULL, 0, &piece, &err), &err, "mr_put");
        ids[n] = example_submit(s, count, MR_NO_ID, &(mr_args){.deps = &piece, .n_deps = 1});
        mr_decref(s, piece);
        at = end;
    }
    for (; n > 1; n = (n + 1) / 2)
        for (size_t i = 0; i < n; i += 2) {
            mr_id one = ids[i];
            uint32_t both = i + 1 < n ? 2 : 1;
            ids[i / 2] = example_submit(s, merge, MR_NO_ID, &(mr_args){.deps = &ids[i], .n_deps = both});
            if (both == 2)
                mr_decref(s, ids[i + 1]);
            mr_decref(s, one);
        }
    mr_value v = example_get(s, ids[0]);
    words here = {0};
    uint64_t len;
    if (words_count(&here, text, text_len))
        return 1;
    char *plain = words_pack(&here, &len);
    bool same = plain && len == v.len && memcmp(plain, v.data, len) == 0;
    qsort(here.v, here.n, sizeof(word), by_count);
    for (size_t i = 0; i < 5 && i < here.n; i++)
        printf("%8llu %s\n", (unsigned long long)here.v[i].count, here.v[i].text);
    printf("%zu different words in %zu bytes; %s a plain count\n", here.n, text_len, same ? "the same as" : "NOT");
    mr_decref(s, v.id);
    mr_decref(s, ids[0]);
    mr_close(s);
    words_free(&here);
    free(plain);
    free(ids);
    free(text);
    return !same;
}
