/* pack.c: the compressors of spilled bytes, both for speed: lz4 as it is, zstd at its first level. */
#include "engine/process/pack.h"

#include <limits.h>
#include <lz4.h>
#include <stdint.h>
#include <string.h>
#include <zstd.h>

static size_t lz4_bound(size_t len)
{
    return len <= LZ4_MAX_INPUT_SIZE ? (size_t)LZ4_compressBound((int)len) : 0;
}

static size_t lz4_pack(void *to, size_t room, const void *from, size_t len)
{
    int n = len <= LZ4_MAX_INPUT_SIZE && room <= INT_MAX ? LZ4_compress_default(from, to, (int)len, (int)room) : 0;
    return n > 0 ? (size_t)n : 0;
}

static bool lz4_unpack(void *to, size_t len, const void *from, size_t packed)
{
    return len <= INT_MAX && packed <= INT_MAX && LZ4_decompress_safe(from, to, (int)packed, (int)len) == (int)len;
}

static size_t zstd_pack(void *to, size_t room, const void *from, size_t len)
{
    size_t n = ZSTD_compress(to, room, from, len, 1);
    return ZSTD_isError(n) ? 0 : n;
}

static bool zstd_unpack(void *to, size_t len, const void *from, size_t packed)
{
    return ZSTD_decompress(to, len, from, packed) == len;
}

static const mr_packer packers[] = {{"lz4", lz4_bound, lz4_pack, lz4_unpack},
                                    {"zstd", ZSTD_compressBound, zstd_pack, zstd_unpack}};

const mr_packer *mr_packer_find(const char *name)
{
    for (size_t i = 0; i < sizeof(packers) / sizeof(packers[0]); i++)
        if (strcmp(packers[i].name, name) == 0)
            return &packers[i];
    return NULL;
}
