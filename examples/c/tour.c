/* tour.c: what else there is: nested tasks, a failing one, a crash, a cancel, waiting for the first of several, a
 * stream. */
#include "example.h"

static int wrong;

static void expect(bool ok, const char *what)
{
    printf("%s %s\n", ok ? "ok " : "BAD", what);
    wrong += !ok;
}

/* The value, error or not; the caller gives back one reference to it. */
static mr_value value_of(mr_session *s, mr_id id)
{
    mr_value v;
    mr_err err;
    must(mr_get(s, &id, 1, -1, 0, &v, &err), &err, "mr_get");
    must(v.status, NULL, "the value");
    return v;
}

static void done(mr_session *s, mr_id id)
{
    mr_decref(s, id); /* of the value */
    mr_decref(s, id); /* of the submit */
}

static void nested(mr_session *s)
{
    uint32_t fib = example_task(s, "fib"), job[2] = {10, fib};
    mr_id id = example_submit(s, fib, MR_NO_ID, &(mr_args){.data = job, .len = sizeof(job)});
    mr_value v = example_get(s, id);
    expect(v.len == 8 && *(const uint64_t *)v.data == 55, "fib(10) = 55, by 177 tasks that wait for each other");
    done(s, id);
}

static void failures(mr_session *s)
{
    mr_id id = example_submit(s, example_task(s, "fail"), MR_NO_ID, NULL);
    mr_value v = value_of(s, id);
    expect(v.error && v.format == MR_FORMAT_TEXT_ERROR, (const char *)v.data);
    done(s, id);

    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    uint32_t crash;
    def.name = def.entry = "crash";
    def.max_retries = 1;
    must(mr_define_func(s, &def, &crash, &err), &err, "crash");
    id = example_submit(s, crash, MR_NO_ID, NULL);
    v = value_of(s, id);
    const mr_fault_value *f = v.data;
    expect(v.error && v.format == MR_FORMAT_FAULT && f->status == MR_E_CRASHED && f->code == 6, (const char *)(f + 1));
    done(s, id);
}

static void cancelling(mr_session *s)
{
    uint64_t hour = 3600000;
    mr_err err;
    mr_id id = example_submit(s, example_task(s, "nap"), MR_NO_ID, &(mr_args){.data = &hour, .len = sizeof(hour)});
    mr_value v;
    expect(mr_get(s, &id, 1, 50000000, 0, &v, &err) == MR_E_TIMEOUT, "a nap of an hour is not over after 50 ms");
    must(mr_cancel(s, id, 0, &err), &err, "mr_cancel");
    v = value_of(s, id);
    expect(v.error && ((const mr_fault_value *)v.data)->status == MR_E_CANCELLED, "and ends when it is cancelled");
    done(s, id);
}

static void first_of_two(mr_session *s)
{
    uint64_t ms[2] = {20000, 1};
    uint32_t nap = example_task(s, "nap");
    mr_err err;
    mr_id ids[2];
    bool ready[2];
    for (int i = 0; i < 2; i++)
        ids[i] = example_submit(s, nap, MR_NO_ID, &(mr_args){.data = &ms[i], .len = sizeof(ms[i])});
    must(mr_wait(s, ids, 2, 1, -1, ready, &err), &err, "mr_wait");
    expect(!ready[0] && ready[1], "of two naps the short one is over first");
    must(mr_cancel(s, ids[0], 0, &err), &err, "mr_cancel");
    mr_decref(s, ids[0]);
    mr_decref(s, ids[1]);
}

static void stream(mr_session *s)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    uint32_t count;
    uint64_t n = 5, sum = 0;
    def.name = def.entry = "count_up";
    def.flags = MR_DEF_STREAMING;
    must(mr_define_func(s, &def, &count, &err), &err, "count_up");
    mr_id id = example_submit(s, count, MR_NO_ID, &(mr_args){.data = &n, .len = sizeof(n)}), item;
    mr_status st;
    while (!(st = mr_stream_next(s, id, -1, &item, &err))) {
        sum += *(const uint64_t *)example_get(s, item).data;
        done(s, item);
    }
    expect(st == MR_E_END && sum == 10, "a stream gives 0 to 4, one by one");
    mr_decref(s, id);
}

int main(int argc, char **argv)
{
    mr_session *s = example_open("tour", argc, argv);
    nested(s);
    failures(s);
    cancelling(s);
    first_of_two(s);
    stream(s);
    mr_close(s);
    return wrong != 0;
}
