/* config.c: owns the settings: their texts, numbers and origins.
 *
 * Does not know the syntax of files (config_read.c), the table (config_keys.c) or how a value is parsed
 * (config_parse.c). No lock: one thread builds a config, then it is only read.
 */
#include "base/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_store.h"
#include "base/log.h"
#include "base/machine.h"

enum { SECTION_MAX = 96, NAMES_MAX = 64 };

static void item_fini(mr_item *it)
{
    free((char *)it->pub.section);
    free((char *)it->pub.key);
    free((char *)it->pub.value);
    free((char *)it->pub.file);
}

/* A new item at the end; NULL: no memory. */
static mr_item *item_add(mr_config *c, const char *section, const char *key, const mr_key *def)
{
    if (c->n == c->room) {
        size_t room = c->room ? c->room * 2 : 64;
        mr_item *grown = realloc(c->items, room * sizeof *grown);
        if (!grown)
            return NULL;
        c->items = grown;
        c->room = room;
    }
    mr_item *it = &c->items[c->n];
    memset(it, 0, sizeof *it);
    it->key = def;
    it->pub.section = strdup(section);
    it->pub.key = strdup(key);
    if (!it->pub.section || !it->pub.key) {
        item_fini(it);
        return NULL;
    }
    c->n++;
    return it;
}

mr_item *mr_config_item(const mr_config *c, const char *section, const char *key)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->items[i].pub.key, key) == 0 && strcmp(c->items[i].pub.section, section) == 0)
            return &c->items[i];
    return NULL;
}

/* Gives the item a new text and origin; on failure it is as it was. */
static mr_status item_store(mr_item *it, const char *value, const mr_origin *from)
{
    char *text = value && *value ? strdup(value) : NULL, *file = from->file ? strdup(from->file) : NULL;
    if ((value && *value && !text) || (from->file && !file)) {
        free(text);
        free(file);
        return MR_E_NOMEM;
    }
    free((char *)it->pub.value);
    free((char *)it->pub.file);
    it->pub.value = text;
    it->pub.file = file;
    it->pub.source = from->source;
    it->pub.line = from->line;
    return MR_OK;
}

mr_status mr_config_new(mr_config **out)
{
    const mr_origin origin = {.source = MR_FROM_DEFAULT};
    mr_config *c = calloc(1, sizeof *c);
    if (!c)
        return MR_E_NOMEM;
    for (size_t i = 0; i < mr_config_n_keys; i++) {
        const mr_key *key = &mr_config_keys[i];
        const char *value = key->otherwise;
        char cpus[16], *resolved = NULL;
        if (!value && strcmp(key->section, "node") == 0 && strcmp(key->name, "cpus") == 0) {
            snprintf(cpus, sizeof cpus, "%d", mr_machine_cpus());
            value = cpus;
        }
        mr_item *it = item_add(c, key->section, key->name, key);
        if (!it || item_store(it, value, &origin)) {
            mr_config_free(c);
            return MR_E_NOMEM;
        }
        mr_err err;
        MR_BUG_ON(value && mr_key_parse(key, value, NULL, &resolved, &it->i, &it->d, &err) != MR_OK);
    }
    *out = c;
    return MR_OK;
}

void mr_config_free(mr_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        item_fini(&c->items[i]);
    for (size_t i = 0; i < c->n_nodes; i++)
        free(c->nodes[i]);
    free(c->nodes);
    free(c->items);
    free(c);
}

/* -- sections ---------------------------------------------------------------------------------------------------- */

/* "store" or "sched" if the section is a plugin's, else NULL. */
static const char *plugin_kind(const char *section)
{
    if (strncmp(section, "store.", 6) == 0)
        return "store";
    return strncmp(section, "sched.", 6) == 0 ? "sched" : NULL;
}

void mr_config_canonical(const char *section, char *out, size_t room)
{
    const char *kind = plugin_kind(section), *name = section + 6;
    if (kind && strncmp(name, kind, 5) == 0 && name[5] == '-')
        snprintf(out, room, "%s.%s", kind, name + 6);
    else
        snprintf(out, room, "%s", section);
}

static bool word(const char *text)
{
    size_t n = 0;
    for (; isalnum((unsigned char)text[n]) || text[n] == '-' || text[n] == '_'; n++)
        ;
    return n && !text[n];
}

static mr_status node_add(mr_config *c, const char *section)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i], section) == 0)
            return MR_OK;
    char **grown = realloc(c->nodes, (c->n_nodes + 1) * sizeof *grown);
    if (!grown)
        return MR_E_NOMEM;
    c->nodes = grown;
    c->nodes[c->n_nodes] = strdup(section);
    if (!c->nodes[c->n_nodes])
        return MR_E_NOMEM;
    c->n_nodes++;
    return MR_OK;
}

mr_status mr_config_open_section(mr_config *c, const char *section, const char *place, mr_err *err)
{
    if (mr_key_section_known(section))
        return MR_OK;
    const char *dot = strchr(section, '.');
    bool node = strncmp(section, "node.", 5) == 0;
    if (strlen(section) >= SECTION_MAX)
        return mr_err_set(err, MR_E_CONFIG, "%s: [%.40s...]: the section's name is too long", place, section);
    if (node || plugin_kind(section)) {
        if (!word(dot + 1))
            return mr_err_set(err, MR_E_CONFIG, "%s: [%s]: \"%s\" is not a name: letters, digits, - and _", place,
                              section, dot + 1);
        if (node && node_add(c, section))
            return mr_err_set(err, MR_E_NOMEM, "out of memory");
        return MR_OK;
    }
    const char *near = mr_nearest(section, mr_config_sections, mr_config_n_sections);
    if (near)
        return mr_err_set(err, MR_E_CONFIG, "%s: [%s]: there is no such section; did you mean [%s]?", place, section,
                          near);
    /* "[schedd.lua]": the part before the dot may be the mistake. */
    char head[SECTION_MAX];
    static const char *const dotted[] = {"node", "store", "sched"};
    snprintf(head, sizeof head, "%.*s", dot ? (int)(dot - section) : 0, section);
    near = dot ? mr_nearest(head, dotted, 3) : NULL;
    if (near)
        return mr_err_set(err, MR_E_CONFIG, "%s: [%s]: there is no such section; did you mean [%s%s]?", place, section,
                          near, dot);
    return mr_err_set(
        err, MR_E_CONFIG,
        "%s: [%s]: there is no such section; the sections are node, node.NAME, engine, store, store.NAME, "
        "sched, sched.NAME, plugins, log, sim",
        place, section);
}

const char *mr_config_node(const mr_config *c, size_t i)
{
    return i < c->n_nodes ? c->nodes[i] : NULL;
}

/* -- setting ----------------------------------------------------------------------------------------------------- */

static mr_status unknown_key(const char *section, const char *key, const char *place, mr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = mr_key_names(section, names, NAMES_MAX), at = 0;
    const char *near = mr_nearest(key, names, n);
    if (near)
        return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: there is no such key; did you mean \"%s\"?", place, section,
                          key, near);
    for (size_t i = 0; i < mr_config_n_keys; i++)
        if (strcmp(mr_config_keys[i].name, key) == 0)
            return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: there is no such key in [%s]; did you mean [%s] %s?", place,
                              section, key, section, mr_config_keys[i].section, key);
    char list[400] = "";
    for (size_t i = 0; i < n && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
    return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: there is no such key; [%s] has %s", place, section, key, section,
                      list);
}

/* A policy without a plugin means the plugin that hosts policies. */
static mr_status imply_lua(mr_config *c, const mr_origin *from)
{
    mr_item *plugin = mr_config_item(c, "sched", "plugin");
    const mr_item *policy = mr_config_item(c, "sched", "policy");
    bool implied = plugin->pub.source == MR_FROM_DEFAULT || (plugin->implied && plugin->pub.source <= from->source);
    if (!policy->pub.value || !implied)
        return MR_OK;
    plugin->implied = true;
    return item_store(plugin, "sched-lua", from);
}

mr_status mr_config_apply(mr_config *c, const char *section, const char *key, const char *value, const mr_origin *from,
                          mr_err *err)
{
    char canonical[SECTION_MAX];
    mr_config_canonical(section, canonical, sizeof canonical);
    const bool plugins = plugin_kind(canonical) != NULL;
    const mr_key *def = plugins ? NULL : mr_key_find(canonical, key);
    if (!plugins && !def)
        return unknown_key(section, key, from->place, err);
    mr_item *it = mr_config_item(c, canonical, key);
    if (it && !it->implied && from->source == MR_FROM_FILE && it->pub.source == MR_FROM_FILE &&
        it->reading == c->reading)
        return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: given twice; the first is on line %d", from->place, section,
                          key, it->pub.line);

    int64_t i = 0;
    double d = 0;
    char *resolved = NULL;
    mr_err why;
    if (def && (*value || (def->type != MR_CONF_TEXT && def->type != MR_CONF_PATH) || def->choices)) {
        mr_status status = mr_key_parse(def, value, from->base, &resolved, &i, &d, &why);
        if (status)
            return mr_err_set(
                err, status, "%s: %s.%s: %s%s", from->place, section, key, why.text,
                from->source == MR_FROM_FILE && strstr(value, " #") ? " (a comment after a value begins with ;)" : "");
    } else if (def && def->otherwise) {
        return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: has no value", from->place, section, key);
    }
    if (it && it->pub.source > from->source) { /* checked all the same: a bad line is bad even if it is overridden */
        free(resolved);
        return MR_OK;
    }
    if (!it)
        it = item_add(c, canonical, key, def);
    mr_status status = it ? item_store(it, resolved ? resolved : value, from) : MR_E_NOMEM;
    free(resolved);
    if (status)
        return mr_err_set(err, status, "%s: out of memory", from->place);
    it->i = i;
    it->d = d;
    it->reading = c->reading;
    it->checked = it->implied = false;
    if (def && strcmp(canonical, "sched") == 0 && strcmp(key, "policy") == 0 && imply_lua(c, from))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", from->place);
    return MR_OK;
}

mr_status mr_config_set(mr_config *c, const char *section, const char *key, const char *value, const char *where,
                        mr_err *err)
{
    const mr_origin from = {.source = MR_FROM_CALL, .file = where, .place = where ? where : "call"};
    mr_status status = mr_config_open_section(c, section, from.place, err);
    return status ? status : mr_config_apply(c, section, key, value, &from, err);
}

/* -- environment ------------------------------------------------------------------------------------------------- */

/* "MINIRAY_ENGINE_SPIN_US", for messages and comparison. */
static void variable_name(const mr_key *key, char *out, size_t room)
{
    snprintf(out, room, "MINIRAY_%s_%s", key->section, key->name);
    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
}

static mr_status unknown_variable(const char *name, mr_err *err)
{
    char all[NAMES_MAX][48];
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (; n < mr_config_n_keys && n < NAMES_MAX; n++) {
        variable_name(&mr_config_keys[n], all[n], sizeof all[n]);
        names[n] = all[n] + 8; /* without the prefix that all share, or everything would be near */
    }
    const char *near = mr_nearest(name + 8, names, n);
    return mr_err_set(err, MR_E_CONFIG, "%s: there is no such setting%s%s%s", name,
                      near ? "; did you mean MINIRAY_" : " (MINIRAY_SECTION_KEY, as `miniray config help` lists them)",
                      near ? near : "", near ? "?" : "");
}

mr_status mr_config_env(mr_config *c, char *const *env, mr_err *err)
{
    static const char *const others[] = {"MINIRAY_PLUGIN_PATH", "MINIRAY_SESSION", "MINIRAY_CONFIG",
                                         "MINIRAY_WORKER",      "MINIRAY_BIN",     "MINIRAY_LABS"};
    for (; *env; env++) {
        const char *equals = strchr(*env, '=');
        char name[80], own[80];
        if (strncmp(*env, "MINIRAY_", 8) != 0 || !equals)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - *env), *env);
        size_t i = 0;
        while (i < sizeof others / sizeof others[0] && strcmp(others[i], name) != 0)
            i++;
        if (i < sizeof others / sizeof others[0])
            continue;
        for (i = 0; i < mr_config_n_keys; i++) {
            variable_name(&mr_config_keys[i], own, sizeof own);
            if (strcmp(own, name) == 0)
                break;
        }
        if (i == mr_config_n_keys)
            return unknown_variable(name, err);
        const mr_origin from = {.source = MR_FROM_ENV, .file = name, .place = name};
        mr_status status =
            mr_config_apply(c, mr_config_keys[i].section, mr_config_keys[i].name, equals + 1, &from, err);
        if (status)
            return status;
    }
    return MR_OK;
}

/* -- plugins ----------------------------------------------------------------------------------------------------- */

static void place_of(const mr_setting *s, char *out, size_t room)
{
    if (s->source == MR_FROM_FILE)
        snprintf(out, room, "%s:%d", s->file, s->line);
    else
        snprintf(out, room, "%s", s->file ? s->file : "call");
}

static mr_status plugin_unknown(const mr_plugin *p, const mr_item *it, mr_err *err)
{
    const char *names[NAMES_MAX];
    char place[600], list[400] = "";
    size_t n = 0, at = 0;
    for (; n < p->n_keys && n < NAMES_MAX; n++) {
        names[n] = p->keys[n].name;
        if (at < sizeof list)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", n ? ", " : "", names[n]);
    }
    place_of(&it->pub, place, sizeof place);
    const char *near = mr_nearest(it->pub.key, names, n);
    if (near)
        return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: %s has no such key; did you mean \"%s\"?", place,
                          it->pub.section, it->pub.key, p->name, near);
    return mr_err_set(err, MR_E_CONFIG, "%s: %s.%s: %s has no such key; it has %s", place, it->pub.section, it->pub.key,
                      p->name, n ? list : "none");
}

/* Checks and parses one setting that the section gives. */
static mr_status plugin_parse(const mr_conf_key *key, mr_item *it, mr_err *err)
{
    char place[600], *resolved;
    mr_err why;
    const char *value = it->pub.value ? it->pub.value : "";
    mr_status status = mr_config_parse(key->type, value, &it->i, &it->d, &why);
    if (status) {
        place_of(&it->pub, place, sizeof place);
        return mr_err_set(err, status, "%s: %s.%s: %s", place, it->pub.section, it->pub.key, why.text);
    }
    const char *slash = it->pub.source == MR_FROM_FILE ? strrchr(it->pub.file, '/') : NULL;
    if (key->type == MR_CONF_PATH && slash && *value && *value != '/' && !it->checked) {
        resolved = malloc((size_t)(slash - it->pub.file) + strlen(value) + 2);
        if (!resolved)
            return mr_err_set(err, MR_E_NOMEM, "out of memory");
        sprintf(resolved, "%.*s/%s", (int)(slash - it->pub.file), it->pub.file, value);
        free((char *)it->pub.value);
        it->pub.value = resolved;
    }
    it->checked = true;
    return MR_OK;
}

/* A declared key that the section does not give: the setting of the same name of [kind], or the declared default. */
static mr_status plugin_default(mr_config *c, const char *section, const char *kind, const mr_conf_key *key,
                                mr_err *err)
{
    const mr_item *shared = mr_config_item(c, kind, key->name);
    mr_origin from = {.source = MR_FROM_DEFAULT};
    char *value = NULL, *file = NULL;
    if (shared && shared->pub.source != MR_FROM_DEFAULT) {
        from = (mr_origin){.source = shared->pub.source, .line = shared->pub.line};
        file = shared->pub.file ? strdup(shared->pub.file) : NULL;
        value = shared->pub.value ? strdup(shared->pub.value) : NULL;
        from.file = file;
    } else if (key->otherwise) {
        value = strdup(key->otherwise);
    }
    mr_item *it = item_add(c, section, key->name, NULL);
    mr_status status = it ? item_store(it, value, &from) : MR_E_NOMEM;
    if (!status) {
        it->checked = true; /* its path is resolved already */
        if (value && *value)
            status = plugin_parse(key, it, err);
    } else {
        mr_err_set(err, status, "out of memory");
    }
    free(value);
    free(file);
    return status;
}

static const mr_conf_key *key_of(const mr_plugin *p, const char *name)
{
    for (uint32_t k = 0; k < p->n_keys; k++)
        if (strcmp(p->keys[k].name, name) == 0)
            return &p->keys[k];
    return NULL;
}

/* Into out (SECTION_MAX): as the config calls the plugin's section. */
static void section_of(const mr_plugin *p, char *out)
{
    char section[SECTION_MAX];
    snprintf(section, sizeof section, "%s.%s", p->kind == MR_KIND_STORE ? "store" : "sched", p->name);
    mr_config_canonical(section, out, SECTION_MAX);
}

mr_status mr_config_check_keys(mr_config *c, const mr_plugin *p, mr_err *err)
{
    char canonical[SECTION_MAX];
    const mr_conf_key *any = key_of(p, "*");
    mr_status status;

    section_of(p, canonical);
    for (size_t i = 0; i < c->n; i++) {
        mr_item *it = &c->items[i];
        if (strcmp(it->pub.section, canonical) != 0)
            continue;
        const mr_conf_key *key = key_of(p, it->pub.key);
        if (!key && !any)
            return plugin_unknown(p, it, err);
        if ((status = plugin_parse(key ? key : any, it, err)))
            return status;
    }
    return MR_OK;
}

mr_status mr_config_check_plugin(mr_config *c, const mr_plugin *p, mr_err *err)
{
    const char *kind = p->kind == MR_KIND_STORE ? "store" : "sched";
    char canonical[SECTION_MAX], place[600];
    const mr_conf_key *any = key_of(p, "*");
    bool takes_policy = key_of(p, "policy") != NULL;
    mr_status status = mr_config_check_keys(c, p, err);

    if (status)
        return status;
    section_of(p, canonical);
    /* A policy that nobody would read: refused, unless a stronger source has swapped the plugin over it. */
    const mr_item *policy = mr_config_item(c, "sched", "policy"), *plugin = mr_config_item(c, "sched", "plugin");
    if (p->kind == MR_KIND_SCHED && policy->pub.value && !takes_policy && policy->pub.source >= plugin->pub.source) {
        place_of(&policy->pub, place, sizeof place);
        return mr_err_set(err, MR_E_CONFIG,
                          "%s: sched.policy: %s takes no policy; use plugin = sched-lua, or leave out "
                          "one of the two",
                          place, p->name);
    }
    for (uint32_t k = 0; k < p->n_keys; k++)
        if (&p->keys[k] != any && !mr_config_item(c, canonical, p->keys[k].name) &&
            (status = plugin_default(c, canonical, kind, &p->keys[k], err)))
            return status;
    return MR_OK;
}

/* -- values ------------------------------------------------------------------------------------------------------ */

/* The item that answers for (section, key). */
static const mr_item *lookup(const mr_config *c, const char *section, const char *key)
{
    char canonical[SECTION_MAX];
    mr_config_canonical(section, canonical, sizeof canonical);
    const mr_item *it = mr_config_item(c, canonical, key);
    if (!it && strncmp(section, "node.", 5) == 0)
        it = mr_config_item(c, "node", key);
    return it;
}

/* A key of the table that is not there is a bug; one of a plugin that declared nothing of the kind is just not given.
 */
static const mr_item *lookup_or_bug(const mr_config *c, const char *section, const char *key)
{
    const mr_item *it = lookup(c, section, key);
    MR_BUG_ON(!it && !plugin_kind(section));
    return it;
}

const char *mr_config_text(const mr_config *c, const char *section, const char *key)
{
    const mr_item *it = lookup_or_bug(c, section, key);
    return it ? it->pub.value : NULL;
}

int64_t mr_config_int(const mr_config *c, const char *section, const char *key)
{
    const mr_item *it = lookup_or_bug(c, section, key);
    return it ? it->i : 0;
}

double mr_config_double(const mr_config *c, const char *section, const char *key)
{
    const mr_item *it = lookup_or_bug(c, section, key);
    return it ? it->d : 0;
}

const mr_setting *mr_config_at(const mr_config *c, size_t i)
{
    return i < c->n ? &c->items[i].pub : NULL;
}
