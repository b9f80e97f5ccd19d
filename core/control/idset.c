/* idset.c: owns the slots of one set.  At most half full; deletion shifts back, so a long life does not slow it. */
#include "control/idset.h"

#include <stdlib.h>
#include <string.h>

static uint32_t home(const idset *s, mr_id id)
{
    return (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (s->room - 1);
}

static void insert(idset *s, mr_id id)
{
    uint32_t i = home(s, id);
    while (s->v[i])
        i = (i + 1) & (s->room - 1);
    s->v[i] = id;
}

mr_status mr_idset_room(idset *s, uint32_t more)
{
    uint64_t want = 2 * ((uint64_t)s->n + more);
    if (s->room >= want)
        return MR_OK;
    uint32_t room = s->room ? s->room : 16;
    while (room < want) {
        if (room > UINT32_MAX / 4)
            return MR_E_NOMEM;
        room *= 2;
    }
    mr_id *v = calloc(room, sizeof *v);
    if (!v)
        return MR_E_NOMEM;
    idset old = *s;
    s->v = v;
    s->room = room;
    for (uint32_t i = 0; i < old.room; i++)
        if (old.v[i])
            insert(s, old.v[i]);
    free(old.v);
    return MR_OK;
}

static bool find(const idset *s, mr_id id, uint32_t *at)
{
    if (!s->room)
        return false;
    for (uint32_t i = home(s, id); s->v[i]; i = (i + 1) & (s->room - 1))
        if (s->v[i] == id) {
            *at = i;
            return true;
        }
    return false;
}

bool mr_idset_add(idset *s, mr_id id)
{
    uint32_t at;
    if (find(s, id, &at))
        return false;
    insert(s, id);
    s->n++;
    return true;
}

bool mr_idset_del(idset *s, mr_id id)
{
    uint32_t hole;
    if (!find(s, id, &hole))
        return false;
    s->n--;
    for (uint32_t i = (hole + 1) & (s->room - 1); s->v[i]; i = (i + 1) & (s->room - 1)) {
        uint32_t h = home(s, s->v[i]);
        if (((i - h) & (s->room - 1)) >= ((i - hole) & (s->room - 1))) {
            s->v[hole] = s->v[i];
            hole = i;
        }
    }
    s->v[hole] = 0;
    return true;
}

void mr_idset_fini(idset *s)
{
    free(s->v);
    memset(s, 0, sizeof *s);
}
