/* helper_brute_policy.c: see the header.  One at a time. */
#include "helper_brute_policy.h"

#include <check.h>
#include <stdio.h>

#include "helper_brute_stops.h"

static const brute *model;
static const mr_sched_host *host;
static b_asked asked[B_ASKED];
static uint32_t n_asked;

static b_asked *note(char what, mr_id id)
{
    ck_assert(n_asked < B_ASKED);
    asked[n_asked] = (b_asked){.what = what, .id = id};
    return &asked[n_asked++];
}

static mr_status p_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = NULL;
    host = h;
    return MR_OK;
}

static int64_t p_slice(void *self, const mr_task *t, const mr_worker *k)
{
    (void)self;
    ck_assert(k && k->task == t->ref);
    return note('s', t->ref)->answer = brute_says_slice(model->seed, t->ref, host->now(host));
}

static mr_ref p_preempt(void *self, const mr_task *t)
{
    mr_id list[B_MOST];
    uint32_t n = 0;
    (void)self;
    for (mr_ref r = MR_NONE; (r = host->next(host, MR_RUNNING, t->ref, r)); n++) {
        ck_assert(n < B_MOST);
        list[n] = r;
    }
    mr_id answer = brute_says_preempt(model->seed, t->ref, host->now(host), list, n);
    b_asked *x = note('p', t->ref);
    x->list = brute_digest(list, n);
    x->answer = (int64_t)answer;
    return answer;
}

static void p_notice(void *self, const mr_notice *n)
{
    (void)self;
    if (n->what == MR_STOPPED)
        note('x', n->task->ref)->answer = n->ran;
}

void brute_policy_install(world *w, brute *b)
{
    const mr_sched_ops ops = {.notices = MR_STOPPED,
                              .open = p_open,
                              .slice = b->slices ? p_slice : NULL,
                              .preempt = b->preempts ? p_preempt : NULL,
                              .notice = p_notice};
    model = b;
    n_asked = 0;
    if (b->slices || b->preempts)
        ck_assert_int_eq(mr_control_policy(w->c, "stops", &ops, NULL, NULL), MR_OK);
}

static bool same(const b_asked *x, const b_asked *y)
{
    return x->what == y->what && x->id == y->id && x->list == y->list && x->answer == y->answer;
}

/* A stop is told when the instant is closed; slices end in any order, questions whom to stop have theirs. */
const char *brute_policy_compare(brute *b)
{
    static char text[160];
    uint32_t before = 0, n = 0;
    for (uint32_t i = 0; i < n_asked; i++) {
        uint32_t k = 0;
        while (k < b->n_asked && !same(&asked[i], &b->asked[k]))
            k++;
        if (k == b->n_asked || (asked[i].what == 'p' && k < before)) {
            snprintf(text, sizeof text, "'%c' of %llu, with the answer %lld, was not due%s", asked[i].what,
                     (unsigned long long)asked[i].id, (long long)asked[i].answer, k == b->n_asked ? "" : " yet");
            return text;
        }
        before = asked[i].what == 'p' ? k : before;
        b->asked[k].what = 0;
    }
    n_asked = 0;
    for (uint32_t k = 0; k < b->n_asked; k++)
        if (b->asked[k].what && b->asked[k].what != 'x') {
            snprintf(text, sizeof text, "'%c' of %llu, with the answer %lld, is missing", b->asked[k].what,
                     (unsigned long long)b->asked[k].id, (long long)b->asked[k].answer);
            return text;
        } else if (b->asked[k].what) {
            b->asked[n++] = b->asked[k];
        }
    b->n_asked = n;
    return NULL;
}
