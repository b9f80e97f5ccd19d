/* replay.c: a main for fuzz targets where the compiler has no fuzzer of its own.  Runs every file of the corpus
 * folders, then mutations of them by a seed, for -max_total_time=SECONDS (default 10).  No coverage feedback: it finds
 * what random damage finds.  -seed=N repeats a run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/rand.h"

enum { INPUT_MAX = 65536, CORPUS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    uint8_t *data;
    size_t size;
} input;

static input corpus[CORPUS_MAX];
static size_t n_corpus;

static void keep(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (!f || !data || n_corpus == CORPUS_MAX) {
        fprintf(stderr, "%s: not read\n", path);
        exit(2);
    }
    corpus[n_corpus++] = (input){data, fread(data, 1, INPUT_MAX, f)};
    fclose(f);
}

static void keep_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[4096];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (!stat(path, &st) && S_ISREG(st.st_mode) && st.st_size <= INPUT_MAX)
            keep(path);
    }
    if (d)
        closedir(d);
}

static size_t mutate(mr_rand *r, uint8_t *data, size_t size)
{
    for (uint64_t n = 1 + mr_rand_next(r) % 8; n; n--) {
        size_t at = size ? mr_rand_next(r) % size : 0;
        switch (mr_rand_next(r) % 4) {
        case 0:
            if (size)
                data[at] ^= (uint8_t)(1u << (mr_rand_next(r) % 8));
            break;
        case 1:
            if (size)
                data[at] = (uint8_t)mr_rand_next(r);
            break;
        case 2:
            if (size < INPUT_MAX) {
                memmove(data + at + 1, data + at, size - at);
                data[at] = (uint8_t)mr_rand_next(r);
                size++;
            }
            break;
        default:
            if (size) {
                memmove(data + at, data + at + 1, size - at - 1);
                size--;
            }
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    unsigned long seconds = 10, seed = 1;
    for (int i = 1; i < argc; i++)
        if (sscanf(argv[i], "-max_total_time=%lu", &seconds) != 1 && sscanf(argv[i], "-seed=%lu", &seed) != 1)
            keep_folder(argv[i]);
    for (size_t i = 0; i < n_corpus; i++)
        LLVMFuzzerTestOneInput(corpus[i].data, corpus[i].size);

    mr_rand r;
    mr_rand_seed(&r, seed, 0);
    uint8_t *data = malloc(INPUT_MAX + 1);
    if (!data)
        return 2;
    time_t end = time(NULL) + (time_t)seconds;
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++) {
        static const input none;
        const input *from = n_corpus ? &corpus[mr_rand_next(&r) % n_corpus] : &none;
        if (from->size)
            memcpy(data, from->data, from->size);
        size_t size = mutate(&r, data, from->size);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%lu runs, seed %lu\n", runs, seed);
    free(data);
    for (size_t i = 0; i < n_corpus; i++)
        free(corpus[i].data);
    return 0;
}
