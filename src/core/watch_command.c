/* Commands on what a rule began: see watch.h.
 *
 *   pending instances of the key:  some    COMPLETE, CANCEL end all of them; HEARTBEAT gives each its
 *                                          time anew, but never less than it has
 *                                  none    told what became of the one that started last
 *
 * A START that waits for the watermark has begun nothing yet: a command before that meets no instance.
 * Nothing here needs memory, so a command always happens. */
#include "core/watch_keys.h"

#include "base/check.h"

static enum timeout_outcome told_of_ended(enum timeout_state state, enum timeout_op op)
{
    bool same = (op == TIMEOUT_COMPLETE && state == TIMEOUT_COMPLETED) ||
                (op == TIMEOUT_CANCEL && state == TIMEOUT_CANCELLED);
    if (same) {
        return TIMEOUT_UNCHANGED;
    }
    return state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED : TIMEOUT_ENDED;
}

/* Its entry in `deadlines` stays where it is, and is looked at again when it comes out. */
static void extend(const struct watch_act *act,
                   struct watch_instance *instance,
                   const struct timeout_command *command)
{
    bool told = watch_by_events(act) && command->has_event_time;
    int64_t seen = told ? command->event_time.us : act->turn->clock.us;
    int64_t reach = command->within_us > 0 ? command->within_us : instance->within_us;
    int64_t deadline = time_add(seen, reach);
    instance->last_seen = seen > instance->last_seen ? seen : instance->last_seen;
    instance->decided_at = act->turn->position;
    if (deadline > instance->deadline) {
        instance->deadline = deadline;
        watch_catch_up(act, instance, NULL);
    }
}

static void carry_out(const struct watch_act *act,
                      struct watch_instance *instance,
                      const struct timeout_command *command)
{
    switch (command->op) {
    case TIMEOUT_COMPLETE:
        watch_end(act, instance, TIMEOUT_COMPLETED);
        break;
    case TIMEOUT_CANCEL:
        watch_end(act, instance, TIMEOUT_CANCELLED);
        break;
    case TIMEOUT_HEARTBEAT:
        extend(act, instance, command);
        break;
    case TIMEOUT_CREATE:
        UNREACHABLE("events create what a rule waits for");
    }
}

void watch_command(struct watch *watch,
                   const struct watch_turn *turn,
                   uint32_t place,
                   uint64_t hash,
                   const struct timeout_command *command,
                   struct timeout_result *result)
{
    CHECK(place < turn->rule_end && watch->parts[place] != NULL);
    const struct watch_act act = {watch, watch->parts[place], &turn->rules[place], turn};
    struct watch_key *key = watch_key_find(watch, place, hash, command->key);
    *result = (struct timeout_result){.outcome = TIMEOUT_UNKNOWN};
    if (key == NULL || act.part->silence || key->open_count + key->ended_count == 0) {
        return;
    }
    bool pending = key->open_count > 0;
    const struct watch_instance *last = pending ? key->open_last : key->ended_last;
    struct watch_instance *next;
    for (struct watch_instance *open = key->open_first; open != NULL; open = next) {
        next = open->next;
        carry_out(&act, open, command);
    }
    result->outcome =
        pending ? TIMEOUT_CHANGED : told_of_ended((enum timeout_state)last->state, command->op);
    watch_show(turn, last, &result->object);
}
