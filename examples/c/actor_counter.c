/* actor_counter.c: an actor keeps its state in a worker process; its calls run in the order they were made. */
#include "example.h"

enum { CALLS = 10 };

int main(int argc, char **argv)
{
    mr_session *s = example_open("actor_counter", argc, argv);
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    uint32_t make, add;
    def.kind = MR_DEF_ACTOR;
    def.name = def.entry = "Counter";
    must(mr_define_func(s, &def, &make, &err), &err, "Counter");
    def = (mr_func_def)MR_FUNC_DEF_INIT;
    def.kind = MR_DEF_METHOD;
    def.max_retries = 0;
    def.name = def.entry = "Counter.add";
    must(mr_define_func(s, &def, &add, &err), &err, "Counter.add");

    int64_t start = 0, one = 1, wrong = 0;
    mr_id counter = example_submit(s, make, MR_NO_ID, &(mr_args){.data = &start, .len = sizeof(start)});
    mr_id ids[CALLS];
    for (int i = 0; i < CALLS; i++)
        ids[i] = example_submit(s, add, counter, &(mr_args){.data = &one, .len = sizeof(one)});
    for (int i = 0; i < CALLS; i++) {
        mr_value v = example_get(s, ids[i]);
        int64_t now;
        memcpy(&now, v.data, sizeof(now));
        printf("%lld%s", (long long)now, i + 1 < CALLS ? " " : "\n");
        wrong += now != i + 1;
        mr_decref(s, v.id);
        mr_decref(s, ids[i]);
    }
    mr_decref(s, counter);
    mr_close(s);
    return wrong != 0;
}
