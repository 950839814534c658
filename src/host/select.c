/* Selection: see select.h. Order: the order value, then window start, then the group.
 *
 * Invariant: after cut(), entries are sorted and rows hold exactly them, in order. */
#include "host/select.h"

#include "base/check.h"
#include "host/grow.h"

#include <stdlib.h>

#define ROWS_BYTES_FIRST 4096
#define ROW_KEY_OFFSET   25 /* of a VALUES row: length, start, end, flags, revision come before */

void selection_init(struct selection *selection, size_t keep, bool descending, size_t bytes_max)
{
    *selection = (struct selection){.keep = keep, .descending = descending, .bytes_max = bytes_max};
}

void selection_deinit(struct selection *selection)
{
    free(selection->rows.data);
    free(selection->entries);
    *selection = (struct selection){0};
}

struct buf *selection_room(struct selection *selection, size_t need)
{
    enum err err = buf_grow(&selection->rows, need, ROWS_BYTES_FIRST, selection->bytes_max);
    if (err != OK) {
        selection->err = err;
        return NULL;
    }
    return &selection->rows;
}

static struct value order_value(const struct selection *selection, const struct selected *entry)
{
    struct value value = {.kind = VALUE_NULL};
    struct reader in =
        reader_of(bytes_of(selection->rows.data + entry->offset + entry->order_offset,
                           entry->len - entry->order_offset));
    CHECK(value_read(&in, &value));
    return value;
}

static int sign(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_values(struct value a, struct value b, bool descending)
{
    if (a.kind == VALUE_NULL || b.kind == VALUE_NULL) {
        return (a.kind == VALUE_NULL) - (b.kind == VALUE_NULL); /* NULLs last, either way */
    }
    bool comparable = false;
    int order = value_compare(a, b, &comparable);
    if (!comparable) {
        order = sign((int64_t)a.kind, (int64_t)b.kind);
    }
    return descending ? -order : order;
}

/* The row's group key without its length: as the API orders rows that it merges. */
static struct bytes group_key(const struct selection *selection, const struct selected *entry)
{
    struct reader in = reader_of(bytes_of(selection->rows.data + entry->offset, entry->len));
    (void)read_bytes(&in, ROW_KEY_OFFSET);
    struct bytes key = read_string(&in);
    CHECK(!in.bad);
    return key;
}

static int
compare(const struct selection *selection, const struct selected *a, const struct selected *b)
{
    if (a->order_offset != 0) {
        int order = compare_values(
            order_value(selection, a), order_value(selection, b), selection->descending);
        if (order != 0) {
            return order;
        }
    }
    int order = sign(a->window_start, b->window_start);
    if (order != 0) {
        return a->order_offset == 0 && selection->descending ? -order : order;
    }
    return value_key_compare(group_key(selection, a), group_key(selection, b));
}

/* Bottom-up merge sort: stable, n log n, one spare array. */
static bool sort(struct selection *selection)
{
    size_t count = selection->count;
    struct selected *from = selection->entries;
    struct selected *spare = malloc((count + 1) * sizeof(struct selected));
    if (spare == NULL) {
        selection->err = ERR_UNAVAILABLE;
        return false;
    }
    struct selected *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t left = low;
            size_t right = middle;
            for (size_t at = low; at < high; at++) {
                bool take_left =
                    right == high ||
                    (left < middle && compare(selection, &from[left], &from[right]) <= 0);
                to[at] = take_left ? from[left++] : from[right++];
            }
        }
        struct selected *other = from;
        from = to;
        to = other;
    }
    if (from != selection->entries) {
        memcpy(selection->entries, from, count * sizeof(struct selected));
    }
    free(spare);
    return true;
}

static void cut(struct selection *selection)
{
    if (selection->err != OK || !sort(selection)) {
        return;
    }
    if (selection->count > selection->keep) {
        selection->count = selection->keep;
    }
    selection->cut_once = selection->count == selection->keep && selection->keep > 0;
    uint8_t *data = malloc(selection->rows.len + 1);
    if (data == NULL) {
        selection->err = ERR_UNAVAILABLE;
        return;
    }
    size_t len = 0;
    for (size_t n = 0; n < selection->count; n++) {
        struct selected *entry = &selection->entries[n];
        memcpy(data + len, selection->rows.data + entry->offset, entry->len);
        entry->offset = len;
        len += entry->len;
    }
    size_t cap = selection->rows.len + 1;
    free(selection->rows.data);
    selection->rows = (struct buf){.data = data, .len = len, .cap = cap};
}

void selection_add(struct selection *selection,
                   size_t offset,
                   int64_t window_start,
                   uint32_t order_offset)
{
    if (selection->count == selection->cap) {
        size_t cap = selection->cap == 0 ? 256 : selection->cap * 2;
        struct selected *entries = realloc(selection->entries, cap * sizeof(struct selected));
        if (entries == NULL) {
            selection->err = ERR_UNAVAILABLE;
            return;
        }
        selection->entries = entries;
        selection->cap = cap;
    }
    struct selected entry = {
        .offset = offset,
        .len = (uint32_t)(selection->rows.len - offset),
        .order_offset = order_offset,
        .window_start = window_start,
    };
    selection->added++;
    if (selection->cut_once &&
        compare(selection, &selection->entries[selection->keep - 1], &entry) <= 0) {
        selection->rows.len = offset; /* K better ones are known already */
        return;
    }
    selection->entries[selection->count++] = entry;
    if (selection->keep < SIZE_MAX / 4 && selection->count >= 2 * selection->keep + 1024) {
        cut(selection);
    }
}

struct buf selection_take(struct selection *selection, uint64_t *count)
{
    cut(selection);
    struct buf rows = selection->rows;
    *count = selection->count;
    selection->rows = (struct buf){0};
    return rows;
}
