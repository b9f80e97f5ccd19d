/* tasks_process.c: the C tasks that the tests of the process engine run. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <miniray/miniray.h>

static int64_t arg(mr_task_ctx *ctx)
{
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    int64_t x = 0;
    memcpy(&x, data, len < sizeof(x) ? len : sizeof(x));
    return x;
}

static mr_status give(mr_task_ctx *ctx, int64_t x)
{
    return mr_ctx_return(ctx, 0, &x, sizeof(x));
}

static mr_status square(mr_task_ctx *ctx)
{
    int64_t x = arg(ctx);
    return give(ctx, x * x);
}

static mr_status sum(mr_task_ctx *ctx)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < mr_ctx_deps(ctx); i++) {
        mr_value v;
        int64_t x;
        mr_status status = mr_ctx_dep(ctx, i, &v);
        if (status)
            return status;
        memcpy(&x, v.data, sizeof(x));
        total += x;
    }
    return give(ctx, total);
}

/* `x` bytes, the i-th of which is i * 7. */
static mr_status make(mr_task_ctx *ctx)
{
    size_t len = (size_t)arg(ctx);
    unsigned char *bytes = malloc(len ? len : 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 7);
    mr_status status = mr_ctx_return(ctx, 0, bytes, len);
    free(bytes);
    return status;
}

/* Two results; the first attempt dies between them. */
static mr_status half(mr_task_ctx *ctx)
{
    mr_call_info info;
    mr_call_describe(mr_ctx_call(ctx), &info);
    mr_status status = make(ctx);
    if (info.attempt == 1)
        _exit(3);
    if (info.n_deps)
        return mr_ctx_fail(ctx, "the second attempt gave up");
    return status ? status : mr_ctx_return(ctx, 1, &(int64_t){info.attempt}, sizeof(int64_t));
}

/* How many of dependency 0's bytes are as `make` makes them. */
static mr_status check(mr_task_ctx *ctx)
{
    mr_value v;
    int64_t right = 0;
    mr_status status = mr_ctx_dep(ctx, 0, &v);
    if (status)
        return status;
    for (uint64_t i = 0; i < v.len; i++)
        right += ((const unsigned char *)v.data)[i] == (unsigned char)(i * 7);
    return give(ctx, right);
}

static mr_status die(mr_task_ctx *ctx)
{
    kill(getpid(), (int)arg(ctx));
    return MR_OK;
}

static mr_status leave(mr_task_ctx *ctx)
{
    _exit((int)arg(ctx));
}

static mr_status fail(mr_task_ctx *ctx)
{
    return mr_ctx_fail(ctx, "number %lld is bad", (long long)arg(ctx));
}

static mr_status nap(mr_task_ctx *ctx)
{
    /* A signal that comes just before a sleep does not shorten it. */
    for (int64_t left = arg(ctx), slice; left > 0 && !mr_ctx_cancelled(ctx); left -= slice) {
        slice = left < 50000000 ? left : 50000000;
        nanosleep(&(struct timespec){.tv_nsec = slice}, NULL);
    }
    return give(ctx, getpid());
}

/* Never looks whether it is to stop. */
static mr_status deaf(mr_task_ctx *ctx)
{
    for (int i = 0; i < 1000; i++)
        nanosleep(&(struct timespec){.tv_sec = 100}, NULL);
    return give(ctx, 0);
}

static mr_status who(mr_task_ctx *ctx)
{
    return give(ctx, getpid());
}

static mr_status say(mr_task_ctx *ctx)
{
    printf("said %lld\n", (long long)arg(ctx));
    fflush(stdout);
    fprintf(stderr, "warned\n");
    return give(ctx, 0);
}

/* Leaves a process of its own session behind, and gives its pid. */
static mr_status daemonize(mr_task_ctx *ctx)
{
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        for (;;)
            pause();
    }
    return give(ctx, pid);
}

/* fib by nested tasks. */
static mr_status fib(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    int64_t x = arg(ctx), total = 0;
    mr_err err;
    if (x < 2)
        return give(ctx, x);
    mr_func_def def = MR_FUNC_DEF_INIT;
    uint32_t func;
    def.name = def.entry = "fib";
    mr_status status = mr_define_func(s, &def, &func, &err);
    if (status)
        return mr_ctx_fail(ctx, "%s", err.text);
    mr_id ids[2];
    for (int i = 0; i < 2; i++) {
        int64_t less = x - 1 - i;
        status = mr_submit(s, func, 0, &(mr_args){.data = &less, .len = sizeof(less)}, NULL, &ids[i], &err);
        if (status)
            return mr_ctx_fail(ctx, "submit: %s", err.text);
    }
    mr_value values[2];
    status = mr_get(s, ids, 2, -1, 0, values, &err);
    if (status)
        return mr_ctx_fail(ctx, "get: %s", err.text);
    for (int i = 0; i < 2; i++) {
        int64_t part;
        if (values[i].status || values[i].error)
            return mr_ctx_fail(ctx, "fib(%lld) failed", (long long)x - 1 - i);
        memcpy(&part, values[i].data, sizeof(part));
        total += part;
        mr_decref(s, ids[i]);
        mr_decref(s, values[i].id);
    }
    return give(ctx, total);
}

/* x, by x tasks that each wait for the next. */
static mr_status down(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    int64_t x = arg(ctx), less = x - 1, below;
    mr_err err;
    mr_id id;
    mr_value value;
    uint32_t func;
    if (!x)
        return give(ctx, 0);
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.name = def.entry = "down";
    mr_status status = mr_define_func(s, &def, &func, &err);
    if (!status)
        status = mr_submit(s, func, 0, &(mr_args){.data = &less, .len = sizeof(less)}, NULL, &id, &err);
    if (!status)
        status = mr_get(s, &id, 1, -1, 0, &value, &err);
    if (status)
        return mr_ctx_fail(ctx, "%lld: %s", (long long)x, err.text);
    memcpy(&below, value.data, sizeof(below));
    mr_decref(s, id);
    mr_decref(s, value.id);
    return give(ctx, below + 1);
}

/* The GPUs that it sees, as one number: "1,2" gives 12; -1: none are told. */
static mr_status gpus(mr_task_ctx *ctx)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    int64_t sum = text ? 0 : -1;
    for (; text && *text; text++)
        sum = *text == ',' ? sum : sum * 10 + (*text - '0');
    return give(ctx, sum);
}

static mr_status counter(mr_task_ctx *ctx)
{
    int64_t *state = malloc(sizeof(*state));
    *state = arg(ctx);
    mr_ctx_set_state(ctx, state, free);
    return MR_OK;
}

static mr_status counter_add(mr_task_ctx *ctx)
{
    int64_t *state = mr_ctx_state(ctx);
    *state += arg(ctx);
    return give(ctx, *state);
}

static mr_status counter_die(mr_task_ctx *ctx)
{
    (void)ctx;
    _exit(3);
}

/* Calls its own actor, which can not answer as long as this call waits. */
static mr_status counter_itself(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    mr_call_info info;
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err = {0};
    mr_value v = {0};
    uint32_t add;
    mr_id id;
    int64_t x = arg(ctx);
    mr_call_describe(mr_ctx_call(ctx), &info);
    def.kind = MR_DEF_METHOD;
    def.name = def.entry = "Counter.add";
    mr_status st = mr_define_func(s, &def, &add, &err);
    if (!st)
        st = mr_submit(s, add, info.actor, &(mr_args){.data = &x, .len = sizeof(x)}, NULL, &id, &err);
    if (!st)
        st = mr_get(s, &id, 1, -1, 0, &v, &err);
    if (st)
        return mr_ctx_fail(ctx, "%s: %s", mr_strerror(st), err.text);
    return give(ctx, 0);
}

/* Fails until its x-th attempt. */
static mr_status flaky(mr_task_ctx *ctx)
{
    mr_call_info info;
    mr_call_describe(mr_ctx_call(ctx), &info);
    if (info.attempt < arg(ctx))
        return mr_ctx_fail(ctx, "attempt %u", info.attempt);
    return give(ctx, info.attempt);
}

/* Waits for a nap of x ns that it starts. */
static mr_status start_and_wait(mr_task_ctx *ctx, bool deaf)
{
    mr_session *s = mr_ctx_session(ctx);
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    mr_value v;
    uint32_t func;
    mr_id id;
    int64_t x = arg(ctx);
    sigset_t all, before;
    sigfillset(&all);
    if (deaf && (pthread_sigmask(SIG_BLOCK, &all, &before) || usleep(500000)))
        return MR_E_IO;
    def.name = def.entry = "nap";
    mr_status st = mr_define_func(s, &def, &func, &err);
    if (!st)
        st = mr_submit(s, func, 0, &(mr_args){.data = &x, .len = sizeof(x)}, NULL, &id, &err);
    if (deaf)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!st)
        st = mr_get(s, &id, 1, -1, 0, &v, &err);
    if (!st && v.error) /* the cancel of the nap may be told before our own */
        st = MR_E_CANCELLED;
    return st ? st : give(ctx, 0);
}

static mr_status waiter(mr_task_ctx *ctx)
{
    return start_and_wait(ctx, false);
}

/* A cancel that comes now reaches it only when it has started the nap. */
static mr_status deaf_waiter(mr_task_ctx *ctx)
{
    return start_and_wait(ctx, true);
}

static int64_t used(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Computes for x ns of CPU time. */
static mr_status spin(mr_task_ctx *ctx)
{
    int64_t from = used();
    while (used() - from < arg(ctx))
        ;
    return give(ctx, arg(ctx) + 1);
}

/* A stream of 0 to x - 1. */
static mr_status count(mr_task_ctx *ctx)
{
    int64_t n = arg(ctx);
    mr_status st = MR_OK;
    for (int64_t i = 0; i < n && !st; i++)
        st = mr_ctx_yield(ctx, &i, sizeof(i));
    return st;
}

/* Sets byte `x` of the file whose name follows; quick, as the file stays mapped. */
static mr_status mark(mr_task_ctx *ctx)
{
    enum { SIZE = 4096 };
    static char name[256], *bytes;
    size_t len;
    const char *data = mr_ctx_data(ctx, &len);
    int64_t i = arg(ctx);
    if (len <= sizeof(i) || len - sizeof(i) > sizeof(name) || i < 0 || i >= SIZE)
        return MR_E_INVAL;
    if (!bytes || strcmp(name, data + sizeof(i)) != 0) {
        int fd = open(data + sizeof(i), O_RDWR | O_CLOEXEC);
        char *map = fd < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0)
            close(fd);
        if (map == MAP_FAILED)
            return MR_E_IO;
        if (bytes)
            munmap(bytes, SIZE);
        bytes = map;
        memcpy(name, data + sizeof(i), len - sizeof(i));
    }
    bytes[i] = 1;
    return give(ctx, 0);
}

const mr_exports *mr_exports_entry(void);
__attribute__((visibility("default"))) const mr_exports *mr_exports_entry(void)
{
    static const mr_export table[] = {
        {"square", square},
        {"sum", sum},
        {"make", make},
        {"half", half},
        {"check", check},
        {"die", die},
        {"leave", leave},
        {"fail", fail},
        {"nap", nap},
        {"deaf", deaf},
        {"who", who},
        {"say", say},
        {"daemonize", daemonize},
        {"fib", fib},
        {"down", down},
        {"gpus", gpus},
        {"Counter", counter},
        {"Counter.add", counter_add},
        {"Counter.die", counter_die},
        {"Counter.itself", counter_itself},
        {"flaky", flaky},
        {"waiter", waiter},
        {"deaf_waiter", deaf_waiter},
        {"spin", spin},
        {"count", count},
        {"mark", mark},
    };
    static const mr_exports exports = {sizeof(mr_export), sizeof(table) / sizeof(table[0]), table};
    return &exports;
}
