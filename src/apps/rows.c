/* Rows from JSON: see rows.h. */
#include "apps/rows.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "base/text.h"

#include <stdlib.h>

#define TIME_LEN_MIN   20 /* "2013-01-01T06:00:00Z" */
#define TIME_LEN_MAX   27
#define DECIMALS_SHOWN 4

static bool is_time(struct bytes text)
{
    static const char form[] = "0000-00-00T00:00:00";
    if (text.len < TIME_LEN_MIN || text.len > TIME_LEN_MAX || text.data[text.len - 1] != 'Z') {
        return false;
    }
    for (size_t i = 0; i + 1 < sizeof(form); i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (form[i] == '0' ? !digit : text.data[i] != (uint8_t)form[i]) {
            return false;
        }
    }
    return true;
}

size_t short_time(struct bytes text, char *out)
{
    memcpy(out, text.data, text.len);
    if (!is_time(text)) {
        return text.len;
    }
    out[10] = ' ';
    bool whole_minute = text.len == TIME_LEN_MIN && memcmp(text.data + 17, "00", 2) == 0;
    return whole_minute ? 16 : text.len - 1;
}

static void text_cell(struct table *table, const struct json_value *value, bool for_people)
{
    char small[64];
    char *text = value->content.len <= sizeof(small) ? small : malloc(value->content.len);
    if (text == NULL) {
        table->failed = true;
        return;
    }
    struct buf out = buf_of(text, value->content.len);
    json_unescape(value->content, &out);
    if (for_people && is_time(buf_bytes(&out))) {
        char shorter[TIME_LEN_MAX];
        size_t len = short_time(buf_bytes(&out), shorter);
        table_cell(table, CELL_TEXT, bytes_of(shorter, len));
    } else {
        table_cell(table, CELL_TEXT, buf_bytes(&out));
    }
    if (text != small) {
        free(text);
    }
}

/* 9.166666666666666 as 9.1667: more digits don't help a reader. Whole numbers and exponents stay.
 */
static struct bytes number_shorten(struct bytes text, char *out, size_t size)
{
    const uint8_t *dot = memchr(text.data, '.', text.len);
    size_t decimals = dot == NULL ? 0 : (size_t)(text.data + text.len - dot - 1);
    bool exponent =
        memchr(text.data, 'e', text.len) != NULL || memchr(text.data, 'E', text.len) != NULL;
    struct decimal number;
    if (decimals <= DECIMALS_SHOWN || exponent || !decimal_parse(text, &number)) {
        return text;
    }
    double value = number.exact ? (double)number.nano / NANO_PER_UNIT : number.real;
    if (value > -1 && value < 1) {
        return text; /* small ones keep what they have */
    }
    text_put(out, size, "%.*f", DECIMALS_SHOWN, value);
    return bytes_of_string(out);
}

void cell_of_json(struct table *table, const struct json_value *value, bool for_people)
{
    char number[64];
    switch (value->kind) {
    case JSON_NULL:
        table_cell(table, CELL_NULL, BYTES("NULL"));
        return;
    case JSON_NUMBER:
        table_cell(table,
                   CELL_NUMBER,
                   for_people ? number_shorten(value->text, number, sizeof(number)) : value->text);
        return;
    case JSON_STRING:
        text_cell(table, value, for_people);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_ARRAY:
    case JSON_OBJECT:
        table_cell(table, CELL_TEXT, value->text);
        return;
    }
}

static void head_of_json(struct table *table, const struct json_value *name)
{
    char text[256];
    struct buf out = buf_of(text, sizeof(text));
    json_unescape(name->content, &out);
    table_head(table, buf_bytes(&out));
}

static void heads_make(struct table *table, struct bytes items, struct bytes names)
{
    struct json_value name;
    struct json_value value;
    if (names.data != NULL) {
        struct json_walk walk = json_walk_of(names);
        while (json_walk_next(&walk, &name, &value)) {
            if (value.kind == JSON_STRING) {
                head_of_json(table, &value);
            }
        }
        return;
    }
    struct json_walk rows = json_walk_of(items);
    if (json_walk_next(&rows, &name, &value)) {
        struct json_walk members = json_walk_of(value.text);
        while (members.object && json_walk_next(&members, &name, &value)) {
            head_of_json(table, &name);
        }
    }
}

void rows_more_json(struct table *table, struct bytes items, bool for_people)
{
    struct json_value name;
    struct json_value row;
    struct json_walk rows = json_walk_of(items);
    while (!table->failed && json_walk_next(&rows, &name, &row)) {
        for (size_t i = 0; i < table->column_count; i++) {
            const struct json_step step = {.name = table_text(table, &table->heads[i])};
            struct json_value value = {.kind = JSON_NULL};
            if (row.kind != JSON_OBJECT || !json_find(row.text, &step, 1, &value)) {
                value.kind = JSON_NULL;
            }
            cell_of_json(table, &value, for_people);
        }
    }
}

void rows_of_json(struct table *table, struct bytes items, struct bytes names, bool for_people)
{
    heads_make(table, items, names);
    rows_more_json(table, items, for_people);
}
