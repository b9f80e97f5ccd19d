/* notes.c: owns what is known of objects for people only: that a reference was pickled by hand, the line that asked for
 * it.  Empty unless somebody notes something, so it costs nothing else.  Lock: the node list's.
 */
#include <string.h>

#include "engine/process/node.h"

/* An id that is free again is passed over: its note would stay for ever. */
mr_status mr_notes_add(mr_nodes *n, mr_id first, uint32_t count, mr_note_kind kind, const char *text)
{
    uint32_t line = 0;
    size_t len = text ? strlen(text) : 0;
    if (len > MR_NOTE_MAX)
        return MR_E_TOOBIG;
    if (kind == MR_NOTE_LINE) {
        mr_status status = n->notes.lines ? MR_OK : mr_intern_new(&n->notes.lines);
        if (!status)
            status = mr_intern_put(n->notes.lines, text ? text : "", len, &line);
        if (status)
            return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (mr_control_object(n->control, first + i).state == MR_OBJ_NONE)
            continue;
        mr_noted *note = mr_table_at(&n->notes.table, first + i);
        if (!note && !(note = mr_table_put(&n->notes.table, first + i)))
            return MR_E_NOMEM;
        if (kind == MR_NOTE_LINE)
            note->line = line;
        else
            note->pinned = true;
    }
    return MR_OK;
}

void mr_notes_fini(mr_nodes *n)
{
    mr_table_fini(&n->notes.table);
    if (n->notes.lines)
        mr_intern_free(n->notes.lines);
}
