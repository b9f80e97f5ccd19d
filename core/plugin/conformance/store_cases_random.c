/* store_cases_random.c: random sequences of the mandatory ops against a model that knows every answer.
 *
 * The same seed gives the same sequence.  The store is small, so that it is full much of the time.
 */
#include "base/log.h"
#include "plugin/conformance/case.h"

enum { MODEL_IDS = 64, MODEL_STEPS = 20000 };
typedef struct model {
    enum { ABSENT, OPEN, SEALED } state;
    uint64_t len, seed;
    unsigned pins;
} model;

static void model_create(mr_case *c, model *m, mr_id id, uint64_t *state)
{
    uint64_t len = mr_case_random(state) % (c->capacity / 16);
    mr_region r = {0};
    mr_status status = c->ops->create(c->self, id, len, &r);
    if (m->state != ABSENT) {
        GIVES(c, status, MR_E_EXISTS);
    } else if (status != MR_E_FULL) {
        GIVES(c, status, MR_OK);
        *m = (model){.state = OPEN, .len = len, .seed = mr_case_random(state)};
        mr_case_fill(r.data, len, m->seed);
    }
}

static void model_get(mr_case *c, model *m, mr_id id)
{
    mr_region r = {0};
    GIVES(c, c->ops->get(c->self, id, &r), m->state == SEALED ? MR_OK : MR_E_NOTFOUND);
    if (m->state != SEALED)
        return;
    SAME(c, r.len, m->len);
    CHECK(c, mr_case_filled(r.data, m->len, m->seed));
    m->pins++;
}

static void model_step(mr_case *c, model *m, mr_id id, uint64_t *state)
{
    mr_status want = m->state == ABSENT ? MR_E_NOTFOUND : m->state == SEALED ? MR_E_INVAL : MR_OK;
    switch (mr_case_random(state) % 8) {
    case 0:
    case 1:
        model_create(c, m, id, state);
        break;
    case 2:
    case 3:
        GIVES(c, c->ops->seal(c->self, id), want);
        m->state = want ? m->state : SEALED;
        break;
    case 4:
        GIVES(c, c->ops->abort(c->self, id), want);
        m->state = want ? m->state : ABSENT;
        break;
    case 5:
        model_get(c, m, id);
        break;
    case 6:
        if (m->pins) {
            DONE(c, c->ops->release(c->self, id));
            m->pins--;
        } else {
            CHECK(c, c->ops->release(c->self, id) != MR_OK);
        }
        break;
    default:
        GIVES(c, c->ops->remove(c->self, id), m->state != SEALED ? MR_E_NOTFOUND : m->pins ? MR_E_BUSY : MR_OK);
        if (m->state == SEALED && !m->pins)
            m->state = ABSENT;
    }
}

void mr_store_random(mr_case *c, uint64_t seed)
{
    model all[MODEL_IDS] = {{0}};
    uint64_t state = seed, before = mr_case_largest(c, 0);
    for (int i = 0; i < MODEL_STEPS; i++) {
        mr_id id = mr_case_random(&state) % MODEL_IDS;
        model_step(c, &all[id], id + 1, &state);
    }
    for (mr_id id = 0; id < MODEL_IDS; id++) {
        for (; all[id].pins; all[id].pins--)
            DONE(c, c->ops->release(c->self, id + 1));
        if (all[id].state == OPEN)
            DONE(c, c->ops->abort(c->self, id + 1));
        else if (all[id].state == SEALED)
            DONE(c, c->ops->remove(c->self, id + 1));
    }
    SAME(c, mr_case_used(c, 0), 0);
    SAME(c, mr_case_largest(c, before), before);
}
