/* repl.c: stepping a workload by hand: time goes on by instants, queues and views can be looked at, the policy can be
 * asked out of turn, and loaded anew.  It only shows what a policy may see, in the same units.
 */
#include "engine/sim/repl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

enum { LINE = 1024, SHOWN = 20, MOST_SAID = 200 };

typedef struct repl {
    mr_sim *s;
    const mr_config *config;
    const mr_loaded *plugin;
    mr_host_box *host; /* of a policy that was loaded here; NULL: the caller's */
    const mr_sched_host *h;
    FILE *out;
    mr_status status;
} repl;

static const char *name_of(const repl *r, mr_ref t)
{
    uint32_t i = mr_sim_task_of(r->s, t);
    return i == MR_WL_NONE ? "?" : mr_workload_name(r->s->w, i);
}

/* A task by the name it has in the workload; 0 and a message: it is not there. */
static mr_ref task_named(repl *r, const char *name)
{
    for (uint32_t i = 0; i < r->s->w->n_tasks; i++)
        if (!strcmp(mr_workload_name(r->s->w, i), name)) {
            mr_ref t = mr_sim_id(r->s, i);
            if (!t)
                fprintf(r->out, "%s is not submitted yet\n", name);
            else if (!r->h->task(r->h, t))
                fprintf(r->out, "%s is over\n", name);
            return t && r->h->task(r->h, t) ? t : MR_NONE;
        }
    fprintf(r->out, "the workload has no task \"%s\"\n", name);
    return MR_NONE;
}

static void put_time(repl *r, const char *what, int64_t ns)
{
    if (ns < 0)
        fprintf(r->out, "  %-13s not known\n", what);
    else
        fprintf(r->out, "  %-13s %.9g s\n", what, (double)ns / 1e9);
}

static void put_place(repl *r, mr_ref at)
{
    const mr_worker *w = mr_ref_is_slot(at) ? r->h->worker(r->h, at) : NULL;
    if (w)
        fprintf(r->out, "slot %u (node %u)", w->id, (uint32_t)w->node - 1);
    else if (mr_ref_is_node(at))
        fprintf(r->out, "node %u", (uint32_t)at - 1);
    else if (mr_ref_is_task(at))
        fprintf(r->out, "%s", name_of(r, at));
    else
        fprintf(r->out, at == MR_STOP ? "stop: nobody before the next event" : "none");
}

static void put_queue(repl *r, const char *what, uint32_t number, mr_ref of)
{
    uint32_t n = 0;
    for (mr_ref t = MR_NONE; (t = r->h->next(r->h, MR_READY, of, t)); n++) {
        const mr_task *v = r->h->task(r->h, t);
        if (n >= SHOWN)
            continue;
        if (!n && of)
            fprintf(r->out, "queue of %s %u:\n", what, number);
        else if (!n)
            fprintf(r->out, "shared queue:\n");
        fprintf(r->out, "  %-20s rank %.10g, ready since %.9g s\n", name_of(r, t), v->rank, (double)v->ready_at / 1e9);
    }
    if (n > SHOWN)
        fprintf(r->out, "  and %u more\n", n - SHOWN);
}

static void show(repl *r, const char *unused)
{
    (void)unused;
    mr_control_stats st;
    mr_control_stats_get(mr_sim_control(r->s), &st);
    const char *error = mr_sim_policy_error(r->s);
    fprintf(r->out, "t = %.9f s, policy %s%s%s: %llu waiting, %llu ready, %llu running, %llu over\n",
            (double)mr_sim_now(r->s) / 1e9, mr_sim_policy_name(r->s), error ? ", EJECTED: " : "", error ? error : "",
            (unsigned long long)st.waiting, (unsigned long long)st.ready, (unsigned long long)st.running,
            (unsigned long long)mr_sim_over(r->s));
    put_queue(r, "", 0, MR_NONE);
    for (mr_ref n = MR_NONE; (n = r->h->next(r->h, MR_NODES, MR_NONE, n));)
        put_queue(r, "node", (uint32_t)n - 1, n);
    for (mr_ref w = MR_NONE; (w = r->h->next(r->h, MR_WORKERS, MR_NONE, w));)
        put_queue(r, "slot", (uint32_t)w - 1, w);
    for (mr_ref w = MR_NONE; (w = r->h->next(r->h, MR_WORKERS, MR_NONE, w));) {
        const mr_worker *v = r->h->worker(r->h, w);
        fprintf(r->out, "slot %u (node %u): %s", v->id, (uint32_t)v->node - 1, v->task ? name_of(r, v->task) : "idle");
        if (v->task && r->h->task(r->h, v->task) && r->h->task(r->h, v->task)->started_at >= 0)
            fprintf(r->out, " since %.9g s", (double)r->h->task(r->h, v->task)->started_at / 1e9);
        fprintf(r->out, "\n");
    }
}

static void task(repl *r, const char *name)
{
    static const char *const states[] = {"waiting", "ready", "travelling", "running", "stopped", "over"};
    mr_ref ref = task_named(r, name);
    const mr_task *t = ref ? r->h->task(r->h, ref) : NULL;
    if (!t)
        return;
    fprintf(r->out, "%s: %s, attempt %u", name, states[t->state], t->attempt);
    if (t->entry) /* nothing of this is known before it is ready */
        fprintf(r->out, ", rank %.10g, entry %llu, %llu bytes of arguments", t->rank, (unsigned long long)t->entry,
                (unsigned long long)t->bytes);
    fprintf(r->out, "\n");
    fprintf(r->out, "  %-13s %s, user \"%s\", priority %d\n", "function", r->h->text(r->h, t->fn),
            r->h->text(r->h, t->user), t->priority);
    put_time(r, "submitted_at", t->submitted_at);
    put_time(r, "ready_at", t->ready_at);
    put_time(r, "started_at", t->started_at);
    put_time(r, "estimate", t->estimate);
    if (t->n_learned)
        fprintf(r->out, "  %-13s %u runs\n", "learned from", t->n_learned);
    put_time(r, "ran", t->ran);
    put_time(r, "deadline", t->deadline);
    put_time(r, "limit", t->limit);
    fprintf(r->out, "  %-13s ", "on");
    put_place(r, t->on);
    fprintf(r->out, "\n  %-13s", "needs");
    for (uint32_t i = 0; i < t->n_needs; i++)
        fprintf(r->out, " %s %g", r->h->text(r->h, MR_TEXT_RES | t->needs[i].res),
                (double)t->needs[i].amount / (t->needs[i].res == MR_RES_MEMORY ? 1 : MR_RES_UNIT));
    mr_edge e;
    for (int succ = 0; succ < 2; succ++) {
        fprintf(r->out, "\n  %-13s", succ ? "succs" : "preds");
        for (uint32_t i = 0; r->h->edge(r->h, ref, succ, i, &e); i++)
            fprintf(r->out, " %s", e.task ? name_of(r, e.task) : "(over)");
    }
    fprintf(r->out, "\n");
}

/* Goes on until `until` (ns; INT64_MAX: the end) or for `n` instants, and says what started. */
static void go_on(repl *r, uint64_t n, int64_t until)
{
    mr_err err = {0};
    const mr_sim_task *tasks = mr_sim_tasks(r->s);
    uint32_t total = r->s->w->n_tasks, said = 0;
    for (uint64_t i = 0; i < n && !r->status && mr_sim_over(r->s) < total && mr_sim_now(r->s) < until; i++) {
        r->status = mr_sim_step(r->s, &err);
        for (uint32_t k = 0; k < 2 * total; k++) { /* what ended, then what started */
            uint32_t t = k % total;
            bool starts = k >= total;
            if ((starts ? tasks[t].started : tasks[t].ended) != mr_sim_now(r->s) || said++ >= MOST_SAID)
                continue;
            fprintf(r->out, "%.9f s  %s %s on node %u, slot %u\n", (double)mr_sim_now(r->s) / 1e9,
                    mr_workload_name(r->s->w, t), starts ? "started" : "ended", tasks[t].node, tasks[t].slot);
        }
    }
    if (said > MOST_SAID)
        fprintf(r->out, "and %u more\n", said - MOST_SAID);
    if (r->status)
        fprintf(r->out, "%s\n", err.text);
    else if (mr_sim_over(r->s) == total)
        fprintf(r->out, "all %u tasks are over, at %.9f s\n", total, (double)mr_sim_now(r->s) / 1e9);
}

static void step(repl *r, const char *count)
{
    uint64_t n = *count ? strtoull(count, NULL, 10) : 1;
    if (!n)
        fprintf(r->out, "step N: so many instants on, 1 or more\n");
    go_on(r, n, INT64_MAX);
}

static void until(repl *r, const char *seconds)
{
    char *end;
    double s = strtod(seconds, &end);
    if (end == seconds || *end || !(s >= 0) || s > 9e9)
        fprintf(r->out, "until SECONDS, such as: until 2.5\n");
    else
        go_on(r, UINT64_MAX, (int64_t)(s * 1e9));
}

static void run(repl *r, const char *unused)
{
    (void)unused;
    go_on(r, UINT64_MAX, INT64_MAX);
}

static void ask(repl *r, const char *text)
{
    static const struct {
        const char *name;
        uint32_t op;
    } ops[] = {{"rank", MR_OP_RANK},       {"place", MR_OP_PLACE}, {"plan", MR_OP_PLAN},
               {"preempt", MR_OP_PREEMPT}, {"slice", MR_OP_SLICE}, {"pick", MR_OP_PICK}};
    size_t word = strcspn(text, " ");
    uint32_t op = 0;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strlen(ops[i].name) == word && !strncmp(text, ops[i].name, word))
            op = ops[i].op;
    const char *whom = text + word + strspn(text + word, " ");
    if (!op || !*whom) {
        fprintf(r->out, "ask rank|place|plan|slice|preempt TASK, or ask pick SLOT (its number)\n");
        return;
    }
    mr_ref of = op == MR_OP_PICK ? MR_REF_SLOT | (strtoul(whom, NULL, 10) + 1) : task_named(r, whom), answer;
    double number;
    uint32_t line;
    if (!of)
        return;
    mr_status status = mr_control_ask(mr_sim_control(r->s), op, of, &number, &answer, &line);
    if (status == MR_E_NOTFOUND) {
        if (op == MR_OP_PICK && !r->h->worker(r->h, of))
            fprintf(r->out, "there is no slot %s\n", whom);
        else
            fprintf(r->out, "policy %s has no %.*s\n", mr_sim_policy_name(r->s), (int)word, text);
        return;
    }
    if (status)
        fprintf(r->out, "it failed, and is ejected at the next instant\n");
    else if (op == MR_OP_SLICE && number < 0)
        fprintf(r->out, "for ever");
    else if (op == MR_OP_SLICE)
        fprintf(r->out, "%.9g s", number / 1e9);
    else if (op == MR_OP_RANK && isinf(number))
        fprintf(r->out, "unknown: it comes last");
    else if (op == MR_OP_RANK)
        fprintf(r->out, "%.17g", number);
    else
        put_place(r, answer);
    if (!status)
        fprintf(r->out, line ? "   (line %u)\n" : "\n", line);
}

static void failed(void *sim, const char *why)
{
    mr_sim_policy_fail(sim, why);
}

static int64_t host_now(void *sim)
{
    return mr_sim_now(sim);
}

/* The policy's file again, or another one; the old one stays if it is bad. */
static void load(repl *r, const char *file)
{
    mr_err err = {0};
    mr_host_box *host = NULL;
    char name[64];
    const char *path = *file ? file : mr_config_text(r->config, "sched", "policy");
    if (!path || strcmp(r->plugin->plugin->name, "sched-lua") != 0) {
        fprintf(r->out, "load FILE.lua: only where a policy in Lua was begun with\n");
        return;
    }
    if (mr_host_new(&host, r->plugin->plugin, r->config, host_now, r->s) || mr_host_say(host, "policy", path)) {
        fprintf(r->out, "out of memory\n");
        mr_host_free(host);
        return;
    }
    mr_host_on_fail(host, failed, r->s);
    mr_policy_name(r->plugin->plugin, path, name, sizeof name);
    if (mr_sim_policy(r->s, name, &r->plugin->ops.sched, mr_host_table(host), &err)) {
        fprintf(r->out, "%s; the old one stays\n", err.text);
        mr_host_free(host);
        return;
    }
    mr_host_free(r->host);
    r->host = host;
    fprintf(r->out, "policy %s\n", name);
}

static const struct {
    const char *name, *what;
    void (*run)(repl *r, const char *rest);
} commands[] = {
    {"step", "[N]: so many instants on", step},
    {"until", "SECONDS: on to that time", until},
    {"run", "to the end", run},
    {"show", "time, queues in order, slots", show},
    {"task", "NAME: what the policy may see of it", task},
    {"ask", "rank|place|plan|slice|preempt TASK, pick SLOT: asks the policy now; nothing is done with the answer", ask},
    {"load", "[FILE.lua]: the policy anew, or another one", load}};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void obey(repl *r, char *line)
{
    size_t word = strcspn(line, " ");
    const char *rest = line + word + strspn(line + word, " "), *names[COMMANDS];
    line[word] = 0;
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i].name;
        if (!strcmp(line, commands[i].name)) {
            commands[i].run(r, rest);
            return;
        }
    }
    if (strcmp(line, "help") != 0) {
        const char *near = mr_nearest(line, names, COMMANDS);
        fprintf(r->out, "there is no command \"%s\"%s%s%s\n", line, near ? ": did you mean " : "", near ? near : "",
                near ? "?" : "; `help` lists them");
        return;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(r->out, "  %-6s %s\n", commands[i].name, commands[i].what);
    fprintf(r->out, "  quit\n");
}

mr_status mr_repl(mr_sim *s, const mr_config *c, const mr_loaded *plugin, FILE *in, FILE *out)
{
    repl r = {.s = s, .config = c, .plugin = plugin, .out = out, .h = mr_control_host(mr_sim_control(s))};
    char line[LINE];
    bool person = isatty(fileno(in));
    if (plugin->ops.sched.line && person)
        fprintf(out, "`help` lists the commands\n");
    for (;;) {
        if (person)
            fprintf(out, "> ");
        fflush(out);
        if (!fgets(line, sizeof line, in))
            break;
        size_t n = strcspn(line, "\r\n");
        while (n && line[n - 1] == ' ')
            n--;
        line[n] = 0;
        char *begin = line + strspn(line, " ");
        if (!strcmp(begin, "quit"))
            break;
        if (*begin)
            obey(&r, begin);
    }
    if (r.host) { /* its instance ends before its host does */
        mr_status back = mr_control_policy(mr_sim_control(s), "fifo", NULL, NULL, NULL);
        if (!back)
            mr_host_free(r.host);
    }
    return r.status;
}
