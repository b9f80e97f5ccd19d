/* config_json.c: the settings as JSON, for the command line.  Owns nothing; no lock. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/session.h"
#include "base/config.h"
#include "engine/engine.h"
#include "plugin/loader.h"

static void put_text(cJSON *to, const char *key, const char *text)
{
    if (text)
        cJSON_AddStringToObject(to, key, text);
    else
        cJSON_AddNullToObject(to, key);
}

static void put_keys(cJSON *root)
{
    cJSON *keys = cJSON_AddArrayToObject(root, "keys");
    mr_config_help h;
    for (size_t i = 0; mr_config_help_at(i, &h); i++) {
        cJSON *o = cJSON_CreateObject();
        put_text(o, "section", h.section);
        put_text(o, "key", h.key);
        put_text(o, "type", h.type);
        put_text(o, "default", h.otherwise);
        put_text(o, "help", h.help);
        cJSON_AddItemToArray(keys, o);
    }
}

static void put_settings(cJSON *root, const mr_config *c)
{
    static const char *const source[] = {"default", "file", "environment", "call"};
    cJSON *v = cJSON_AddArrayToObject(root, "settings");
    const mr_setting *s;
    for (size_t i = 0; (s = mr_config_at(c, i)); i++) {
        cJSON *o = cJSON_CreateObject();
        put_text(o, "section", s->section);
        put_text(o, "key", s->key);
        put_text(o, "value", s->value);
        put_text(o, "source", source[s->source]);
        put_text(o, "file", s->file);
        cJSON_AddNumberToObject(o, "line", s->line);
        cJSON_AddItemToArray(v, o);
    }
}

static mr_status check_plugin(mr_config *c, const char *section, mr_plugin_kind kind, const char *own, mr_loaded **out,
                              mr_err *err)
{
    mr_status st = mr_plugin_load(out, mr_config_text(c, section, "plugin"), kind, c, own, err);
    return st ? st : mr_config_check_plugin(c, (*out)->plugin, err);
}

static mr_status check_plugins(mr_config *c, mr_err *err)
{
    char home[1024], path[1100] = "";
    mr_err ignored;
    mr_loaded *store = NULL, *sched = NULL;
    /* Without a home the search path alone has to do; the message of the loader says where it looked. */
    if (mr_engine_home(NULL, home, sizeof(home), &ignored) == MR_OK)
        snprintf(path, sizeof(path), "%s/plugins", home);
    const char *own = path[0] ? path : NULL;
    mr_status st = check_plugin(c, "store", MR_KIND_STORE, own, &store, err);
    if (!st)
        st = check_plugin(c, "sched", MR_KIND_SCHED, own, &sched, err);
    if (!st)
        st = mr_plugin_check_sections(c, own, (const mr_plugin *const[]){store->plugin, sched->plugin}, 2, err);
    mr_plugin_unload(sched);
    mr_plugin_unload(store);
    return st;
}

mr_status mr_config_json(const char *config, const mr_override *overrides, size_t n_overrides, char **json, mr_err *err)
{
    mr_open_args a = MR_OPEN_ARGS_INIT;
    a.config = config;
    a.overrides = overrides;
    a.n_overrides = n_overrides;
    mr_config *c = NULL;
    mr_status st = mr_session_config(&a, &c, err);
    if (!st)
        st = check_plugins(c, err);
    cJSON *root = st ? NULL : cJSON_CreateObject();
    if (root) {
        put_settings(root, c);
        put_keys(root);
    }
    char *text = root ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    mr_config_free(c);
    if (!st && !text)
        st = mr_err_set(err, MR_E_NOMEM, "%s", mr_status_text(MR_E_NOMEM));
    if (!st)
        *json = text;
    return st;
}
