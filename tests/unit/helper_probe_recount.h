/* helper_probe_recount.h: what the probe counts again for itself: queues, loads, amounts. */
#ifndef HELPER_PROBE_RECOUNT_H
#define HELPER_PROBE_RECOUNT_H

#include "helper_control.h"

bool probe_queued(const mr_task *t);
mr_ref probe_node_of(mr_ref place); /* of a slot or node */
void probe_recount(void);           /* promise 8 */
void probe_pools(void);             /* promise 13 */
void probe_edges(const mr_task *t); /* promise 8 */

#endif
