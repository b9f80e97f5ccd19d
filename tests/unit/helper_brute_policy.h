/* helper_brute_policy.h: the policy that control asks in the histories of the brute-force model, and whether it was
 * asked the same and told the same. */
#ifndef HELPER_BRUTE_POLICY_H
#define HELPER_BRUTE_POLICY_H

#include "helper_brute.h"
#include "helper_control.h"

/* One that answers as b->seed says, with the ops that b->slices and b->preempts name; neither: no policy. */
void brute_policy_install(world *w, brute *b);
/* What it was asked since the last time, against the model; NULL: all is well. */
const char *brute_policy_compare(brute *b);

#endif
