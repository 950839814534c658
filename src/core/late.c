/* The late stream: see late.h.
 *
 * Invariants:
 *  1. bytes = the sum of the entries' sizes <= budget_bytes.
 *  2. count = entries in the queue; count + forgotten = all that ever came. */
#include "core/late.h"

#include "base/check.h"

void late_init(struct late *late, struct heap *heap, size_t budget_bytes)
{
    *late = (struct late){.heap = heap, .budget_bytes = budget_bytes};
}

static size_t entry_bytes(size_t len)
{
    return sizeof(struct late_entry) + len;
}

static void forget_first(struct late *late)
{
    struct late_entry *entry = late->first;
    CHECK(entry != NULL);
    late->first = entry->next;
    late->last = late->first == NULL ? NULL : late->last;
    late->bytes -= entry_bytes(entry->len);
    late->count--;
    late->forgotten++;
    heap_free(late->heap, entry, entry_bytes(entry->len));
}

/* An entry with room for len bytes, not yet in the queue; NULL (and counted) when there is none. */
static struct late_entry *entry_new(struct late *late, size_t len)
{
    struct late_entry *entry = NULL;
    if (entry_bytes(len) <= late->budget_bytes) {
        while (late->count > 0 && late->bytes + entry_bytes(len) > late->budget_bytes) {
            forget_first(late);
        }
        entry = heap_alloc(late->heap, entry_bytes(len));
    }
    if (entry == NULL) {
        late->forgotten++;
        return NULL;
    }
    entry->next = NULL;
    entry->len = (uint32_t)len;
    return entry;
}

static void entry_append(struct late *late, struct late_entry *entry)
{
    if (late->last == NULL) {
        late->first = entry;
    } else {
        late->last->next = entry;
    }
    late->last = entry;
    late->bytes += entry_bytes(entry->len);
    late->count++;
}

void late_add(struct late *late,
              const struct log_place *place,
              int64_t watermark,
              const uint32_t *metrics,
              uint16_t metric_count,
              const struct event *event)
{
    size_t max = 32 + metric_count * sizeof(uint32_t) + event_put_max(event);
    struct late_entry *entry = entry_new(late, max);
    if (entry == NULL) {
        return;
    }
    struct buf out = buf_of(entry->bytes, max);
    buf_put_u64(&out, place->frame);
    buf_put_u32(&out, place->record);
    buf_put_u32(&out, place->row);
    buf_put_i64(&out, watermark);
    buf_put_u16(&out, metric_count);
    for (uint16_t n = 0; n < metric_count; n++) {
        buf_put_u32(&out, metrics[n]);
    }
    event_put(&out, event);
    CHECK(!out.overflow);
    memset(entry->bytes + out.len, 0, max - out.len);
    entry_append(late, entry);
}

void late_save(const struct late *late, struct writer *out)
{
    write_u64(out, late->count);
    write_u64(out, late->forgotten);
    for (const struct late_entry *entry = late->first; entry != NULL; entry = entry->next) {
        write_string(out, bytes_of(entry->bytes, entry->len));
    }
}

static void load_nowhere(struct loader *in, uint32_t len)
{
    uint8_t nowhere[256];
    for (uint32_t part = 0; len > 0 && !in->bad; len -= part) {
        part = len < sizeof(nowhere) ? len : (uint32_t)sizeof(nowhere);
        load_bytes(in, nowhere, part);
    }
}

/* The budget may be smaller than it was: then the newest entries stay. */
bool late_load(struct late *late, struct loader *in)
{
    uint64_t count = load_u64(in);
    uint64_t forgotten = load_u64(in);
    for (uint64_t n = 0; n < count && !in->bad; n++) {
        uint32_t len = load_u32(in);
        struct late_entry *entry = in->bad ? NULL : entry_new(late, len);
        if (entry == NULL) {
            load_nowhere(in, len);
            continue;
        }
        load_bytes(in, entry->bytes, len);
        entry_append(late, entry);
    }
    late->forgotten += forgotten;
    return !in->bad;
}
