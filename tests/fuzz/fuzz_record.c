/* fuzz_record.c: arbitrary bytes as a record out of a worker's ring.  mr_record_check must accept or refuse, and what
 * it accepts must be readable to its declared end. */
#include <stdlib.h>
#include <string.h>

#include "control/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < sizeof(mr_record))
        return 0;
    /* A copy of exactly `size` bytes, so that a read past the end is told. */
    mr_record *r = malloc(size);
    if (!r)
        return 0;
    memcpy(r, data, size);
    mr_err err;
    if (!mr_record_check(r, size, &err)) {
        size_t body = mr_event_size(r->kind);
        if (!body || mr_record_total(body, r->n_ids, r->n_bytes) > r->size || r->size > size)
            abort();
        const mr_id *ids = mr_record_ids(r, body);
        const unsigned char *bytes = mr_record_bytes(r, body);
        volatile uint64_t sum = 0;
        for (uint32_t i = 0; i < r->n_ids; i++)
            sum += ids[i];
        for (uint32_t i = 0; i < r->n_bytes; i++)
            sum += bytes[i];
    }
    free(r);
    return 0;
}
