/* labels.c: conditions on the labels of nodes.  They cut the nodes that a task may run on; the policy chooses inside.
 */
#include <stdio.h>
#include <string.h>

#include "control/room.h"

static const char *value_of(const node *n, const char *key)
{
    for (uint32_t i = 0; i < n->n_labels; i++)
        if (!strncmp(n->labels[i].key, key, sizeof n->labels[i].key))
            return n->labels[i].value;
    return NULL;
}

static bool same(const mr_term *a, const mr_term *b)
{
    return a->op == b->op && a->soft == b->soft && !strncmp(a->key, b->key, sizeof a->key);
}

/* One condition: the terms from `i` to *end are its alternatives. */
static bool holds(const node *n, const mr_term *terms, uint32_t n_terms, uint32_t i, uint32_t *end)
{
    const mr_term *t = &terms[i];
    const char *value = value_of(n, t->key);
    bool any = false;
    for (; i < n_terms && same(t, &terms[i]); i++)
        any |= value && !strncmp(value, terms[i].value, sizeof t->value);
    *end = i;
    switch ((mr_term_op)t->op) {
    case MR_TERM_IN:
        return any;
    case MR_TERM_NOT_IN:
        return !any;
    case MR_TERM_EXISTS:
        return value;
    default:
        return !value;
    }
}

static bool all(const node *n, const mr_term *terms, uint32_t n_terms, bool soft)
{
    for (uint32_t i = 0, end; i < n_terms; i = end)
        if (!holds(n, terms, n_terms, i, &end) && !!terms[i].soft == soft)
            return false;
    return true;
}

bool mr_labels_terms(const node *n, const mr_term *terms, uint32_t n_terms)
{
    return all(n, terms, n_terms, false);
}

bool mr_labels_hard(const node *n, const shape *s)
{
    return all(n, s->terms, s->n_terms, false);
}

bool mr_labels_soft(const node *n, const shape *s)
{
    return all(n, s->terms, s->n_terms, true);
}

/* The labels of living nodes, as many as there is room for. */
void mr_labels_have(mr_control *c, char *text, size_t room)
{
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const node *n = c->nodes[i];
        for (uint32_t k = 0; n->alive && k < n->n_labels && at < room - 1; k++)
            at += (size_t)snprintf(text + at, room - at, "%s%.32s: %.32s=%.32s", at ? ", " : "", n->name,
                                   n->labels[k].key, n->labels[k].value);
    }
    if (!at)
        snprintf(text, room, "none has a label");
}

void mr_labels_text(const shape *s, char *text, size_t room)
{
    static const char *const before[] = {"", "", "label ", "no label "}, *const ops[] = {" in ", " not in ", "", ""};
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < s->n_terms && at < room - 1; i++) {
        const mr_term *t = &s->terms[i];
        bool goes_on = i && same(t, t - 1);
        if (t->soft)
            continue;
        uint32_t op = t->op <= MR_TERM_ABSENT ? t->op : 0;
        at += goes_on ? (size_t)snprintf(text + at, room - at, " or %.32s", t->value)
                      : (size_t)snprintf(text + at, room - at, "%s%s%.32s%s%.32s", at ? ", " : "", before[op], t->key,
                                         ops[op], op <= MR_TERM_NOT_IN ? t->value : "");
    }
}
