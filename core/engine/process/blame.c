/* blame.c: owns copies of the last errors, so that a failed task can still be told about when its error value is gone.
 *
 * A ring of as many as BLAME_MAX, by the id of the task (its first result); small ones only.  Lock: the node list's.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/process/node.h"

enum { BLAME_MAX = 1024, BLAME_BYTES = 16 * 1024 };

void mr_blame_keep(mr_nodes *n, mr_id id, uint32_t format, const void *bytes, uint64_t len)
{
    if (len > BLAME_BYTES || (!n->blames && !(n->blames = calloc(BLAME_MAX, sizeof(mr_blame *)))))
        return;
    mr_blame *b = malloc(sizeof(*b) + len + 1);
    if (!b)
        return;
    b->id = id;
    b->format = format;
    b->len = len;
    if (len)
        memcpy(b->bytes, bytes, len);
    b->bytes[len] = 0;
    uint64_t *old = mr_table_at(&n->blamed, id), *at = old ? old : mr_table_put(&n->blamed, id);
    if (!at) {
        free(b);
        return;
    }
    mr_blame **slot = &n->blames[n->next_blame % BLAME_MAX];
    if (*slot) {
        const uint64_t *which = mr_table_at(&n->blamed, (*slot)->id);
        if (which && *which + BLAME_MAX == n->next_blame)
            mr_table_del(&n->blamed, (*slot)->id);
        free(*slot);
        at = mr_table_at(&n->blamed, id);
    }
    *slot = b;
    if (at)
        *at = n->next_blame;
    n->next_blame++;
}

const mr_blame *mr_blame_find(mr_nodes *n, mr_id id)
{
    const uint64_t *which = mr_table_at(&n->blamed, id);
    const mr_blame *b = which && n->blames ? n->blames[*which % BLAME_MAX] : NULL;
    return b && b->id == id ? b : NULL;
}

void mr_blame_fini(mr_nodes *n)
{
    for (size_t i = 0; n->blames && i < BLAME_MAX; i++)
        free(n->blames[i]);
    free(n->blames);
    mr_table_fini(&n->blamed);
}
