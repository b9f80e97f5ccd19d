/* census.h: the tables of mr_state with a row for each task, actor, object, worker.  Lock: the node list's, held. */
#ifndef MR_ENGINE_PROCESS_CENSUS_H
#define MR_ENGINE_PROCESS_CENSUS_H

#include "engine/process/node.h"
#include "engine/process/text.h"

const char *mr_census_name(mr_nodes *n, uint32_t func);              /* of a function or class; "" if there is none */
void mr_census_task(mr_nodes *n, mr_text *t, const mr_task_info *i); /* its row, without braces */
/* why.c: `which`: its id, hexadecimal.  false: not known. */
bool mr_census_why(mr_nodes *n, mr_text *t, const char *which);
void mr_census_policies(mr_nodes *n, mr_text *t); /* that were at work, and since when */
void mr_census_tasks(mr_nodes *n, mr_text *t);
void mr_census_actors(mr_nodes *n, mr_text *t);
void mr_census_objects(mr_nodes *n, mr_text *t);
void mr_census_workers(mr_nodes *n, mr_text *t);
void mr_census_groups(mr_nodes *n, mr_text *t);

/* "name":amount; CPU, GPU and custom resources are kept in 1/10000, memory in bytes. */
void mr_state_amount(mr_text *t, const char *name, int64_t amount);

#endif
